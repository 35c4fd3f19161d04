/** Details for PoPs with problems: the lease of the machine, and the state of a PoP without a machine. */
import { ifNotFound } from "../fly/errors.ts";
import type { CliContext } from "./context.ts";
import type { DeployedPop, Fleet } from "./fleet.ts";
import type { Stack } from "./stack.ts";
import { readDeployment, resourceOfPop } from "./state.ts";

export interface Lease {
  /** RFC 3339. */
  until: string;
  /** Owner of the token, as shown by Fly. */
  owner: string | null;
  /** Purpose, e.g. "fly-pops: update of cdg-1". */
  description: string | null;
}

/** For a PoP without a machine: the state has one, a run has started to create one, or neither. */
export type DeploymentState = "known" | "pending" | "unknown";

/** The current lease of a PoP's machine. Undefined: none, or unknown. */
export async function readLease(
  { app, fly }: Fleet,
  { machine }: DeployedPop,
  { clock }: CliContext,
): Promise<Lease | undefined> {
  const lease = await fly.readLease(app, machine.id).catch(ifNotFound(undefined));
  if (!lease || lease.expires_at * 1000 <= clock.now()) return undefined;
  return {
    until: new Date(lease.expires_at * 1000).toISOString(),
    owner: lease.owner || null,
    description: lease.description || null,
  };
}

/** Looks PoPs up in the state. Undefined: it cannot be read, which does not fail a read-only command. */
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
