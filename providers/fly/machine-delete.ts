/** Deletes a machine: takes it out of routing, stops it so that nginx can finish its requests, destroys it, and waits until its volume is detached. */

import { FlyError, isHostFailure, isNotFound } from "../../fly/errors.ts";
import { confirmAbsent, isLive } from "../../fly/existence.ts";
import type { Machine } from "../../fly/wire.ts";
import { sleep } from "../../lib/clock.ts";
import type { Context } from "../handler.ts";
import { waitForState, waitUntilStopped } from "./machine-wait.ts";
import { assertOwned } from "./owner.ts";
import { releaseTimeoutMs, waitUntilDetached } from "./release-wait.ts";

export interface DeleteTarget {
  app: string;
  /** For messages, e.g. cdg-1. */
  pop: string;
  /** The stack it must belong to; the machine of another stack is not deleted. Absent: the caller has checked. */
  owner?: string;
  /** Id of its volume, which is kept. */
  volume: string;
  /** Seconds between cordon and stop. */
  drainSeconds: number;
  /** Seconds the stop may take. After that the machine is destroyed anyway. */
  timeoutSeconds: number;
}

type DeleteContext = Pick<Context, "fly" | "clock" | "log">;

/** Succeeds if the machine is already gone. If its host does not respond, only the forced delete is sent. */
export async function destroyMachine(id: string, target: DeleteTarget, context: DeleteContext): Promise<void> {
  const { app, pop, volume } = target;
  const { fly, log } = context;
  try {
    const machine = await fly.getMachine(app, id);
    if (target.owner !== undefined) assertOwned(machine, pop, [target.owner]);
    const stopped = await stopGracefully(machine, target, context);
    if (!stopped) log(`${pop}: the host of machine ${id} does not answer; deleting it by force`);
    await deleteByForce(id, target, context);
    // A host that is down destroys and releases nothing until it is back.
    if (!stopped) return;
    await waitUntilDestroyed(machine, target, context);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    await confirmAbsent(`machine ${id}`, error, context.clock, async () =>
      (await fly.listMachines(app)).some((it) => it.id === id && isLive(it)),
    );
  }
  if (!(await waitUntilDetached({ app, volume, machine: id }, context)))
    log(`${pop}: machine ${id} is gone, but Fly still reports volume ${volume} as attached to it`);
}

/** Cordons, drains and stops the machine. False: its host does not respond. */
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
      // A machine that never started cannot be stopped and need not be.
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
      `${pop}: machine ${id} was not deleted: its host does not answer and Fly refused to delete it by force (${error.message}). Run again when https://status.flyio.net reports that the host is back. ${forgetAdvice(`edge-${pop}-machine`)}`,
      { cause: error },
    );
  }
}

/** How to continue without an object that Fly does not delete. */
export const forgetAdvice = (resource: string): string =>
  `To continue without it, remove it from state: npx pulumi state delete URN, with the URN that npx pulumi stack --show-urns has for ${resource}. It stays on Fly and is billed until npx fly-pops orphans --delete can delete it.`;

/** A machine in state `destroying` still has its name. */
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
