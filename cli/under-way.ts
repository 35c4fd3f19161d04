/** What else is asked when a PoP is not as it should be: who holds its machine's lease, and what the state knows of one that has no machine. */
import { ifNotFound } from "../providers/fly/errors.ts";
import type { Fleet, LivePop } from "./fleet.ts";
import type { Stack } from "./stack.ts";
import { ofPop, readDeployment } from "./state.ts";
import type { Lease } from "./status-of.ts";
import type { World } from "./world.ts";

/** Of a PoP without a machine: state has one, a run has begun to make one, or neither. */
export type Under = "known" | "pending" | "unknown";

/** The live lease of a PoP's machine. undefined: there is none, or Fly does not say. */
export async function leaseOf({ app, fly }: Fleet, { machine }: LivePop, { clock }: World): Promise<Lease | undefined> {
  const lease = await fly.readLease(app, machine.id).catch(ifNotFound(undefined));
  if (!lease || lease.expires_at * 1000 <= clock.now()) return undefined;
  return {
    until: new Date(lease.expires_at * 1000).toISOString(),
    owner: lease.owner || null,
    description: lease.description || null,
  };
}

/** By the state; undefined when it cannot be read, which is no failure of a command that looks. */
export async function inState(world: World, stack: Stack): Promise<((pop: string) => Under) | undefined> {
  try {
    const { resources, pending } = await readDeployment(world, stack);
    const begun = pending.map(({ resource }) => resource);
    return (pop) => (ofPop(resources, "Machine", pop) ? "known" : ofPop(begun, "Machine", pop) ? "pending" : "unknown");
  } catch {
    return undefined;
  }
}
