/** Starts, drains and restarts a machine without changing its config, like an update: under a lease, out of routing while it is down. */

import { waitUntilHealthy } from "../../fly/machine-health.ts";
import { eventIds } from "../../fly/version-watch.ts";
import type { Machine } from "../../fly/wire.ts";
import { sleep } from "../../lib/clock.ts";
import type { Context } from "../handler.ts";
import { type HeldLease, withLease } from "./lease.ts";
import { startWithRetry } from "./machine-start.ts";
import { waitUntilSettled, waitUntilStopped } from "./machine-wait.ts";

export interface PowerTarget {
  app: string;
  id: string;
  /** For messages, e.g. cdg-1. */
  pop: string;
  /** Seconds the stop may take, and seconds the start may take until all checks pass. */
  timeoutSeconds: number;
  /** Seconds between cordon and stop. */
  drainSeconds: number;
}

type PowerContext = Pick<Context, "fly" | "clock" | "rollout" | "log">;

/** Starts a machine that is not running, waits until it is healthy, and puts it into routing. Resolves with the machine. */
export const startVerified = (target: PowerTarget, context: PowerContext): Promise<Machine> =>
  withLease({ ...target, purpose: "start of" }, context, async (lease) =>
    startAndRoute(await waitUntilSettled(target, context), target, lease, context),
  );

/** Takes a machine out of routing. It keeps running. */
export const drainVerified = (target: PowerTarget, context: PowerContext): Promise<Machine> =>
  withLease({ ...target, purpose: "drain of" }, context, async (lease) => {
    await waitUntilSettled(target, context);
    await context.fly.cordonMachine(target.app, target.id, lease.nonce);
    return context.fly.getMachine(target.app, target.id);
  });

/** Takes a machine out of routing, drains, stops and starts it. If it does not stop or become healthy, it stays out of routing. */
export const restartVerified = (target: PowerTarget, context: PowerContext): Promise<Machine> =>
  withLease({ ...target, purpose: "restart of" }, context, async (lease) => {
    const { app, id, pop, drainSeconds } = target;
    const { fly, clock, log } = context;
    const before = await waitUntilSettled(target, context);
    if (before.state === "started") {
      await fly.cordonMachine(app, id, lease.nonce);
      if (drainSeconds > 0) {
        log(`${pop}: cordoned, draining for ${drainSeconds} s`);
        await sleep(clock, drainSeconds * 1000, lease.lost);
      }
      await fly.stopMachine(app, id, lease.nonce);
      if (!(await waitUntilStopped(id, target, context)))
        throw new Error(
          `${pop}: not restarted, machine ${id} has not stopped within ${target.timeoutSeconds} s. It is out of routing. To put it back: npx fly-pops start ${pop}`,
        );
    }
    return startAndRoute(await waitUntilSettled(target, context), target, lease, context);
  });

async function startAndRoute(
  machine: Machine,
  { app, id, timeoutSeconds }: PowerTarget,
  lease: HeldLease,
  { fly, clock }: PowerContext,
): Promise<Machine> {
  const deadline = clock.now() + timeoutSeconds * 1000;
  const known = eventIds(machine);
  await startWithRetry(app, machine, deadline, { fly, clock }, lease.nonce);
  const version = machine.instance_id ?? "";
  const served = await waitUntilHealthy(
    { app, id, version },
    { deadline, knownEvents: known, signal: lease.lost },
    { fly, clock },
  );
  await fly.uncordonMachine(app, id, lease.nonce);
  return served;
}
