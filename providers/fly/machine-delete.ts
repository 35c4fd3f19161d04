/** The end of a machine: out of routing, stopped so that nginx may finish what it serves, destroyed, its volume let go of. */
import { sleep } from "../clock.ts";
import type { Context } from "../handler.ts";
import { FlyError, isHostFailure, isNotFound } from "./errors.ts";
import { confirmAbsent, isLive } from "./existence.ts";
import { waitForState, waitUntilStopped } from "./machine-wait.ts";
import { assertOwned } from "./owner.ts";
import { releaseTimeoutMs, waitUntilDetached } from "./release-wait.ts";
import type { Machine } from "./wire.ts";

export interface DeleteTarget {
  app: string;
  /** For messages, e.g. cdg-1. */
  pop: string;
  /** The stack it must belong to; another stack's machine is refused. Absent: the caller has checked. */
  owner?: string;
  /** Id of its volume, which stays. */
  volume: string;
  /** Seconds between cordon and stop. */
  drainSeconds: number;
  /** Seconds the stop may take. Whoever does not end in time is destroyed all the same. */
  timeoutSeconds: number;
}

type DeleteContext = Pick<Context, "fly" | "clock" | "log">;

/** Gone already is success. A host that does not answer is asked for the forced delete alone. */
export async function destroyMachine(id: string, target: DeleteTarget, context: DeleteContext): Promise<void> {
  const { app, pop, volume } = target;
  const { fly, log } = context;
  try {
    const machine = await fly.getMachine(app, id);
    if (target.owner !== undefined) assertOwned(machine, pop, [target.owner]);
    const stopped = await stopGracefully(machine, target, context);
    if (!stopped) log(`${pop}: the host of machine ${id} does not answer; deleting it by force`);
    await deleteByForce(id, target, context);
    // A host that is away destroys nothing, and lets go of nothing, before it is back.
    if (!stopped) return;
    await waitUntilDestroyed(machine, target, context);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    await confirmAbsent(`machine ${id}`, error, context.clock, async () =>
      (await fly.listMachines(app)).some((it) => it.id === id && isLive(it)),
    );
  }
  if (!(await waitUntilDetached({ app, volume, machine: id }, context)))
    log(`${pop}: machine ${id} is gone, and Fly still says that it has volume ${volume}`);
}

/** Ends it in good order. False: its host does not let us. */
async function stopGracefully(
  machine: Machine,
  { app, drainSeconds, timeoutSeconds }: DeleteTarget,
  { fly, clock }: DeleteContext,
): Promise<boolean> {
  const { id } = machine;
  if (machine.host_status === "unreachable") return false;
  try {
    await fly.cordonMachine(app, id);
    if (drainSeconds > 0 && machine.state === "started") await sleep(clock, drainSeconds * 1000);
    await fly.stopMachine(app, id).catch((error: unknown) => {
      // One that never came up cannot be stopped, and need not be.
      if (!(error instanceof FlyError) || error.status !== 412) throw error;
    });
    await waitUntilStopped(id, { app, timeoutSeconds }, { fly, clock });
    return true;
  } catch (error) {
    if (isHostFailure(error)) return false;
    throw error;
  }
}

async function deleteByForce(id: string, { app, pop }: DeleteTarget, { fly }: DeleteContext): Promise<void> {
  try {
    await fly.deleteMachine(app, id, { force: true });
  } catch (error) {
    if (!isHostFailure(error)) throw error;
    throw new Error(
      `${pop}: machine ${id} is not deleted, its host does not answer and Fly refused to delete it by force (${error.message}). Run again when https://status.flyio.net says that the host is back. ${forgetAdvice(`edge-${pop}-machine`)}`,
      { cause: error },
    );
  }
}

/** How to go on without an object that Fly does not let go of. */
export const forgetAdvice = (resource: string): string =>
  `To go on without it, let the state forget it: npx pulumi state delete URN, with the URN that npx pulumi stack --show-urns has for ${resource}. It stays on Fly and on the bill until npx fly-pops orphans --delete can delete it.`;

/** A machine that reads `destroying` has its name still. */
async function waitUntilDestroyed(
  { id, instance_id }: Machine,
  { app, pop }: DeleteTarget,
  { fly, clock }: DeleteContext,
): Promise<void> {
  const deadline = clock.now() + releaseTimeoutMs;
  while (!(await waitForState("destroyed", { app, id, version: instance_id }, { fly })))
    if (clock.now() >= deadline)
      throw new Error(`${pop}: machine ${id} is still being destroyed after ${releaseTimeoutMs / 1000} s. Run again.`);
}
