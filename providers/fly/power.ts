/** Start and restart of a machine as it is, by the rules of an update: leased, out of routing while it is down, back in once it serves. */
import { sleep } from "../clock.ts";
import type { Context } from "../handler.ts";
import { type HeldLease, withLease } from "./lease.ts";
import { untilServing } from "./serving.ts";
import { settled, untilStopped } from "./settled.ts";
import { startSettled } from "./start.ts";
import { eventIds } from "./version-watch.ts";
import type { Machine } from "./wire.ts";

export interface Powered {
  app: string;
  id: string;
  /** For messages, e.g. cdg-1. */
  pop: string;
  /** Seconds it may take to stop, and again until all its checks pass. */
  timeoutSeconds: number;
  /** Seconds between cordon and stop. */
  drainSeconds: number;
}

type World = Pick<Context, "fly" | "clock" | "rollout" | "log">;

/** Starts a machine that does not run, waits until it serves, and routes it. Resolves with the machine. */
export const startVerified = (it: Powered, world: World): Promise<Machine> =>
  withLease({ ...it, purpose: "start of" }, world, async (lease) => up(await settled(it, world), it, lease, world));

/** Takes a machine out of routing; it runs on. */
export const drainVerified = (it: Powered, world: World): Promise<Machine> =>
  withLease({ ...it, purpose: "drain of" }, world, async (lease) => {
    await settled(it, world);
    await world.fly.cordonMachine(it.app, it.id, lease.nonce);
    return world.fly.getMachine(it.app, it.id);
  });

/** Takes a machine out of routing, lets it drain, stops it and starts it again. One that does not stop or come up stays out of routing. */
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
      if (!(await untilStopped(id, it, world)))
        throw new Error(
          `${pop}: not restarted, machine ${id} has not stopped within ${it.timeoutSeconds} s. It is out of routing. If it runs on: npx fly-pops start ${pop}`,
        );
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
