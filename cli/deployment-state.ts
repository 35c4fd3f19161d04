/** What else is asked when a PoP is not as it should be: who holds its machine's lease, and what the state knows of one that has no machine. */
import { whenGone } from "../providers/fly/errors.ts";
import type { CliContext } from "./context.ts";
import type { DeployedPop, Fleet } from "./fleet.ts";
import type { Lease } from "./pop-status.ts";
import type { Stack } from "./stack.ts";
import { readDeployment, resourceOfPop } from "./state.ts";

/** Of a PoP without a machine: state has one, a run has begun to make one, or neither. */
export type DeploymentState = "known" | "pending" | "unknown";

/** The live lease of a PoP's machine. undefined: there is none, or Fly does not say. */
export async function readLease(
  { app, fly }: Fleet,
  { machine }: DeployedPop,
  { clock }: CliContext,
): Promise<Lease | undefined> {
  const lease = await fly.readLease(app, machine.id).catch(whenGone(undefined));
  if (!lease || lease.expires_at * 1000 <= clock.now()) return undefined;
  return {
    until: new Date(lease.expires_at * 1000).toISOString(),
    owner: lease.owner || null,
    description: lease.description || null,
  };
}

/** By the state; undefined when it cannot be read, which is no failure of a command that looks. */
export async function readDeploymentStates(
  context: CliContext,
  stack: Stack,
): Promise<((pop: string) => DeploymentState) | undefined> {
  try {
    const { resources, pending } = await readDeployment(context, stack);
    const begun = pending.map(({ resource }) => resource);
    return (pop) =>
      resourceOfPop(resources, "Machine", pop) ? "known" : resourceOfPop(begun, "Machine", pop) ? "pending" : "unknown";
  } catch {
    return undefined;
  }
}
