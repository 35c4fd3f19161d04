/** Start and restart of a machine as it is, by the rules of an update: leased, out of routing while it is down, back in once it serves. */
import { sleep } from "../clock.ts";
import type { Context } from "../handler.ts";
import { FlyError } from "./errors.ts";
import { lookUntil } from "./lag.ts";
import { type HeldLease, withLease } from "./lease.ts";
import type { Machine } from "./schema.ts";
import { untilServing } from "./serving.ts";
import { startSettled } from "./start.ts";
import { eventIds, isPassing } from "./version-watch.ts";

export interface Powered {
  app: string;
  id: string;
  /** For messages, e.g. cdg-1. */
  pop: string;
  /** Seconds it may take until all its checks pass. */
  timeoutSeconds: number;
  /** Seconds between cordon and stop. */
  drainSeconds: number;
}

type World = Pick<Context, "fly" | "clock" | "rollout" | "log">;

const settleMs = 120_000;

/** Starts a machine that does not run, waits until it serves, and routes it. Resolves with the machine. */
export const startVerified = (it: Powered, world: World): Promise<Machine> =>
  withLease({ ...it, purpose: "start of" }, world, async (lease) => up(await settled(it, world), it, lease, world));

/** Takes a machine out of routing, lets it drain, stops it and starts it again. One that does not come up stays out of routing. */
export const restartVerified = (it: Powered, world: World): Promise<Machine> =>
  withLease({ ...it, purpose: "restart of" }, world, async (lease) => {
    const { app, id, pop, drainSeconds } = it;
    const { fly, clock, log } = world;
    const before = await settled(it, world);
    if (before.state === "started") {
      await fly.cordonMachine(app, id, lease.nonce);
      if (drainSeconds > 0) {
        log(`${pop}: cordoned, draining for ${drainSeconds} s`);
        await sleep(clock, drainSeconds * 1000, lease.lost);
      }
      await fly.stopMachine(app, id, lease.nonce);
      await stopped(it, before.instance_id, world);
    }
    return up(await settled(it, world), it, lease, world);
  });

async function up(
  machine: Machine,
  { app, id, timeoutSeconds }: Powered,
  lease: HeldLease,
  { fly, clock }: World,
): Promise<Machine> {
  const deadline = clock.now() + timeoutSeconds * 1000;
  const known = eventIds(machine);
  await startSettled(app, machine, deadline, { fly, clock }, lease.nonce);
  const version = machine.instance_id ?? "";
  const served = await untilServing({ app, id, version }, { deadline, known, signal: lease.lost }, { fly, clock });
  await fly.uncordonMachine(app, id, lease.nonce);
  return served;
}

async function stopped({ app, id }: Powered, version: string | undefined, { fly, clock }: World): Promise<void> {
  const deadline = clock.now() + settleMs;
  while (clock.now() < deadline) {
    try {
      await fly.waitMachine(app, id, { states: ["stopped"], version, seconds: 60 });
      return;
    } catch (error) {
      if (!(error instanceof FlyError) || error.status !== 408) throw error;
    }
  }
}

/** The machine in a state that lasts. */
async function settled({ app, id, pop }: Powered, { fly, clock }: World): Promise<Machine> {
  let last: Machine | undefined;
  const found = await lookUntil(clock, clock.now() + settleMs, async () => {
    last = await fly.getMachine(app, id);
    return isPassing(last) ? undefined : last;
  });
  if (found) return found;
  throw new Error(
    `${pop}: machine ${id} is ${last?.state} for ${settleMs / 1000} s already. Run again when it has settled.`,
  );
}
