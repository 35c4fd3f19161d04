/**
 * The update that cannot lie: in place, the volume kept, verified by version, put back when it fails.
 * read -> lease -> cordon, drain -> post with nonce and current_version -> the new version serves -> uncordon -> release.
 */
import { sleep } from "../clock.ts";
import type { Context } from "../handler.ts";
import { FlyError, HostUnreachable, isNoRoom, isUncertain } from "./errors.ts";
import { type HeldLease, withLease } from "./lease.ts";
import { sameConfig } from "./normalise.ts";
import type { Machine, MachineConfig } from "./schema.ts";
import { NotServing, rests, untilServing } from "./serving.ts";
import { startSettled } from "./start.ts";

export interface Target {
  app: string;
  id: string;
  /** Name for people, e.g. cdg-1. */
  pop: string;
  /** Seconds a version may take until it serves. */
  timeoutSeconds: number;
  /** Seconds between cordon and stop, so that Fly Proxy has heard of it everywhere. */
  drainSeconds: number;
  /** Whether Fly Proxy sends it traffic in the end. */
  routed: boolean;
}

/** The update failed. `machine` is what runs now, as last seen, and `serving` whether that was verified. */
export class UpdateFailed extends Error {
  readonly machine: Machine;
  readonly serving: boolean;
  constructor(message: string, machine: Machine, serving: boolean, options?: ErrorOptions) {
    super(message, options);
    this.name = "UpdateFailed";
    this.machine = machine;
    this.serving = serving;
  }
}

/** States on the way to another one; a verb sent now would be refused or, worse, lost. */
const passing = new Set(["creating", "starting", "stopping", "restarting", "suspending", "updating", "replacing"]);
const settleMs = 120_000;
const pollMs = 2_000;

/** Gives a machine another config. Resolves with the machine once the new version serves (or rests, if it rested before). */
export async function updateVerified(target: Target, wanted: MachineConfig, context: Context): Promise<Machine> {
  const { app, id, pop } = target;
  const { fly, clock, log } = context;
  const seen = await settled();
  return withLease({ app, id, pop, purpose: "update of" }, context, async (lease) => {
    const config = onItsVolume(wanted, seen);
    const kept = seen.config && sameConfig(config, seen.config, seen.image_ref) ? await keep(seen, lease) : undefined;
    if (kept) return kept;
    const began = clock.now();
    await fly.cordonMachine(app, id, lease.nonce);
    if (seen.state === "started" && target.drainSeconds > 0) {
      log(`${pop}: cordoned, draining for ${target.drainSeconds} s`);
      await sleep(clock, target.drainSeconds * 1000, lease.lost);
    }
    try {
      const machine = await put(seen, config, lease, !rests(seen));
      await route(lease);
      log(`${pop}: version ${machine.instance_id} ${rests(seen) ? `rests, ${seen.state} as before` : "serves"}`);
      return machine;
    } catch (error) {
      if (lease.lost.aborted) throw error;
      const after = Math.round((clock.now() - began) / 1000);
      throw await settleFailure(error, seen, after, lease);
    }
  });

  /** The machine has this config already: nothing to post, if it serves. Undefined when it does not. */
  async function keep(machine: Machine, lease: HeldLease): Promise<Machine | undefined> {
    if (!rests(machine)) {
      if (machine.state !== "started") return undefined;
      const known = new Set((machine.events ?? []).map((event) => event.id ?? ""));
      const deadline = clock.now() + target.timeoutSeconds * 1000;
      try {
        await untilServing(
          { app, id, version: machine.instance_id ?? "" },
          { deadline, known, signal: lease.lost },
          context,
        );
      } catch (error) {
        if (error instanceof NotServing) return undefined;
        throw error;
      }
    }
    // Fly does not always say whether a machine is cordoned.
    if (machine.cordoned !== !target.routed) await route(lease);
    return machine;
  }

  /** In or out of Fly Proxy's routing, as the stack wants it. */
  async function route(lease: HeldLease): Promise<void> {
    if (target.routed) await fly.uncordonMachine(app, id, lease.nonce);
    else await fly.cordonMachine(app, id, lease.nonce);
  }

  /** The machine, once it is in a state that lasts. */
  async function settled(): Promise<Machine> {
    const deadline = clock.now() + settleMs;
    for (;;) {
      const machine = await fly.getMachine(app, id);
      if (machine.host_status === "unreachable") throw new HostUnreachable(pop, id);
      if (!passing.has(machine.state ?? "")) return machine;
      if (clock.now() >= deadline)
        throw new Error(
          `${pop}: machine ${id} is ${machine.state} for ${settleMs / 1000} s already. Nothing changed. Run again when it has settled.`,
        );
      await sleep(clock, pollMs);
    }
  }

  /** Posts a config over `from` and waits until the version it makes serves; or only until it has settled, when it is not to `run`. */
  async function put(from: Machine, config: MachineConfig, lease: HeldLease, run: boolean): Promise<Machine> {
    const known = new Set((from.events ?? []).map((event) => event.id ?? ""));
    const posted = await post(from, config, lease);
    if (!run) return settled();
    const deadline = clock.now() + target.timeoutSeconds * 1000;
    // What fell over before stays stopped after an update.
    if (from.state !== "started") await startSettled(app, await settled(), deadline, context, lease.nonce);
    return untilServing(
      { app, id, version: posted.instance_id ?? "" },
      { deadline, known, signal: lease.lost },
      context,
    );
  }

  /** A lost answer is settled by reading: a second post would be a second version. */
  async function post(from: Machine, config: MachineConfig, lease: HeldLease): Promise<Machine> {
    try {
      return await fly.updateMachine(app, id, { config, ...version(from) }, lease.nonce);
    } catch (error) {
      if (!isUncertain(error)) throw error;
      const now = await fly.getMachine(app, id);
      if (now.instance_id !== from.instance_id && now.config && sameConfig(config, now.config, now.image_ref))
        return now;
      throw error;
    }
  }

  /** Puts the old version back where that is needed, and says what came of it. */
  async function settleFailure(error: unknown, before: Machine, seconds: number, lease: HeldLease): Promise<Error> {
    if (!(error instanceof NotServing)) {
      await route(lease);
      return refused(pop, error);
    }
    log(`${pop}: ${error.message}; putting version ${before.instance_id} back`);
    try {
      const back = await restore(before, lease);
      await route(lease);
      return new UpdateFailed(
        `${pop}: update undone after ${seconds} s, ${error.message}. The old configuration is back as version ${back.instance_id}, its checks pass; no other PoP was touched after this. See: npx fly-pops logs ${pop}`,
        back,
        true,
        { cause: error },
      );
    } catch (second) {
      const now = await fly.getMachine(app, id).catch(() => before);
      await route(lease).catch(() => undefined);
      return new UpdateFailed(
        `${pop}: update failed after ${seconds} s, ${error.message}; and the old configuration could not be put back, ${reason(second)}. The machine is ${now.state} with version ${now.instance_id}. Look at its logs, then run again: npx fly-pops logs ${pop}`,
        now,
        false,
        { cause: error },
      );
    }
  }

  async function restore(before: Machine, lease: HeldLease): Promise<Machine> {
    const now = await settled();
    const config = pinned(before);
    // Fly may have gone back by itself; then there is nothing to post, only to verify.
    if (now.state === "started" && now.config && sameConfig(config, now.config, now.image_ref)) {
      const known = new Set((now.events ?? []).map((event) => event.id ?? ""));
      const deadline = clock.now() + target.timeoutSeconds * 1000;
      return untilServing(
        { app, id, version: now.instance_id ?? "" },
        { deadline, known, signal: lease.lost },
        context,
      );
    }
    return put(now, config, lease, !rests(before));
  }
}

/** A mount cannot be swapped; after Fly moved a machine to another host its volume has another id than the stack remembers. */
function onItsVolume(config: MachineConfig, machine: Machine): MachineConfig {
  const volume = machine.config?.mounts?.[0]?.volume;
  const mount = config.mounts?.[0];
  return volume && mount ? { ...config, mounts: [{ ...mount, volume }] } : config;
}

const version = (machine: Machine): { current_version?: string } =>
  machine.instance_id === undefined ? {} : { current_version: machine.instance_id };

/** The config that ran, with the image as the digest it ran with: its tag may have moved since. */
function pinned(machine: Machine): MachineConfig {
  const { registry, repository, digest } = machine.image_ref ?? {};
  const config = machine.config ?? {};
  if (!digest || !repository || config.image?.includes("@")) return config;
  return { ...config, image: `${registry ? `${registry}/` : ""}${repository}@${digest}` };
}

/** Fly did not take the update: the old version was never touched. */
function refused(pop: string, error: unknown): Error {
  const still = "The old version goes on serving.";
  if (isNoRoom(error))
    return new Error(
      `${pop}: no room for the new version, ${error.message}. ${still} Try again later, or take a smaller size.`,
      { cause: error },
    );
  if (error instanceof FlyError) return new Error(`${pop}: ${error.message}. ${still} Run again.`, { cause: error });
  return error instanceof Error ? error : new Error(String(error));
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));
