/**
 * Updates a machine in place: the volume is kept, the new version is verified, and the old configuration is restored if the update fails.
 * read -> lease -> cordon, drain -> post with nonce and current_version -> wait until the new version is healthy -> uncordon -> release.
 */

import { FlyError, isOutOfCapacity } from "../../fly/errors.ts";
import { pollUntil, visibleBy } from "../../fly/lag.ts";
import { UnhealthyError, waitUntilHealthy } from "../../fly/machine-health.ts";
import { eventIds, isTransitional, watchVersion } from "../../fly/version-watch.ts";
import type { Machine, MachineConfig } from "../../fly/wire.ts";
import { sleep } from "../../lib/clock.ts";
import type { Context } from "../handler.ts";
import { type HeldLease, withLease } from "./lease.ts";
import { startWithRetry } from "./machine-start.ts";
import { waitUntilSettled } from "./machine-wait.ts";
import { sameConfig } from "./normalise.ts";
import { assertOwned } from "./owner.ts";

export interface UpdateTarget {
  app: string;
  id: string;
  /** PoP name for messages, e.g. cdg-1. */
  pop: string;
  /** Seconds a version may take to become healthy. */
  timeoutSeconds: number;
  /** Seconds between cordon and stop, so that the cordon reaches Fly Proxy everywhere. */
  drainSeconds: number;
  /** Whether Fly Proxy sends it traffic after the update. */
  routed: boolean;
  /** Stacks the machine may belong to. */
  owners: readonly string[];
}

/** The update failed or was not completed. State keeps what runs now, and the next `up` repeats the update. */
export class UpdateFailed extends Error {
  /** The machine when last read. */
  readonly machine: Machine;
  /** True: the machine has the desired config. False: it has the old one, or what it has is unknown. */
  readonly applied: boolean;
  constructor(message: string, machine: Machine, of: { applied: boolean; cause: unknown }) {
    super(message, { cause: of.cause });
    this.name = "UpdateFailed";
    this.machine = machine;
    this.applied = of.applied;
  }
}

/** Updates the config of a machine. Resolves with the machine once the new version is healthy. A stopped machine is started. */
export async function updateVerified(target: UpdateTarget, desired: MachineConfig, context: Context): Promise<Machine> {
  const { app, id, pop } = target;
  const seen = await waitUntilSettled(target, context);
  assertOwned(seen, pop, target.owners);
  return withLease({ app, id, pop, purpose: "update of" }, context, async (lease) => {
    const { version } = lease;
    // The lease comes from the machine's host, which knows its version; the read before it may have been stale.
    const isLate = version !== undefined && seen.instance_id !== version;
    const before = isLate
      ? await waitUntilSettled(target, context, watchVersion(version, eventIds(seen), context.clock))
      : seen;
    assertOwned(before, pop, target.owners);
    return new MachineUpdate(target, context, lease, before).run(withCurrentVolume(desired, before));
  });
}

/** One update under one lease. */
class MachineUpdate {
  readonly #target: UpdateTarget;
  readonly #context: Context;
  readonly #lease: HeldLease;
  /** The machine before the update. */
  readonly #before: Machine;
  readonly #startedAt: number;
  /** Fly accepted the new config, or may have: from here on, only a read shows what runs. */
  #posted = false;
  /** Version of the last accepted config, where known. */
  #version: string | undefined;
  /** Until when a cordon without a response may take effect, in milliseconds since the epoch. */
  #cordonTakesEffectBy = Number.NEGATIVE_INFINITY;

  constructor(target: UpdateTarget, context: Context, lease: HeldLease, before: Machine) {
    this.#target = target;
    this.#context = context;
    this.#lease = lease;
    this.#before = before;
    this.#startedAt = context.clock.now();
  }

  async run(config: MachineConfig): Promise<Machine> {
    const before = this.#before;
    const has = before.config && sameConfig(config, before.config, before.image_ref);
    const kept = has ? await this.#verifyUnchanged() : undefined;
    if (kept) return kept;
    let machine: Machine;
    try {
      await this.#cordonAndDrain();
      machine = await this.#applyAndWait(before, config);
    } catch (error) {
      throw await this.#rollBack(error);
    }
    await this.#setFinalRouting(machine);
    this.#context.log(`${this.#target.pop}: version ${machine.instance_id} serves`);
    return machine;
  }

  /** The machine already has this config: returns it if it is healthy, so that nothing has to be posted. undefined: it is not healthy. */
  async #verifyUnchanged(): Promise<Machine | undefined> {
    const machine = this.#before;
    if (machine.state !== "started") return undefined;
    try {
      await this.#waitUntilHealthy(machine.instance_id, eventIds(machine));
    } catch (error) {
      if (error instanceof UnhealthyError) return undefined;
      if (!this.#lease.lost.aborted) throw error;
      throw new Error(`${this.#target.pop}: ${errorText(error)} It was not changed. Run again.`, { cause: error });
    }
    // Always, whatever a read shows: Fly does not always report a cordon, and someone may have cordoned the machine a moment ago.
    await this.#setFinalRouting(machine);
    return machine;
  }

  /** Takes the machine out of Fly Proxy's routing, and waits until that has reached Fly Proxy everywhere. */
  async #cordonAndDrain(): Promise<void> {
    const { app, id, pop, drainSeconds } = this.#target;
    const { fly, clock, log } = this.#context;
    await fly.cordonMachine(app, id, this.#lease.nonce, (takesEffectBy) => {
      this.#cordonTakesEffectBy = takesEffectBy;
    });
    if (this.#before.state !== "started" || drainSeconds === 0) return;
    log(`${pop}: cordoned, draining for ${drainSeconds} s`);
    await sleep(clock, drainSeconds * 1000, this.#lease.lost);
  }

  /** Puts the machine in or out of Fly Proxy's routing, as the stack wants it. */
  async #setRouting(): Promise<void> {
    const { app, id, routed } = this.#target;
    await this.#waitForLateCordon();
    if (routed) await this.#context.fly.uncordonMachine(app, id, this.#lease.nonce);
    else await this.#context.fly.cordonMachine(app, id, this.#lease.nonce);
  }

  /** The last step of an update, once the version is healthy. If it fails, only the routing is wrong. */
  async #setFinalRouting(machine: Machine): Promise<void> {
    try {
      await this.#setRouting();
    } catch (error) {
      throw new UpdateFailed(
        `${this.#target.pop}: version ${machine.instance_id} is up and its checks pass, but its routing could not be set, ${errorText(error)}. Run again.`,
        machine,
        { applied: true, cause: error },
      );
    }
  }

  /** Posts a config over `from` and waits until the version it creates is healthy. */
  async #applyAndWait(from: Machine, config: MachineConfig): Promise<Machine> {
    const posted = await this.#post(from, config);
    const known = eventIds(from);
    if (from.state !== "started") {
      // A machine that was not started is not started by an update either.
      const stopped = await this.#waitUntilApplied(posted.instance_id, known);
      await startWithRetry(this.#target.app, stopped, this.#deadline(), this.#context, this.#lease.nonce);
    }
    return this.#waitUntilHealthy(posted.instance_id, known);
  }

  /** Waits until the posted version is the current one, in a state that lasts. */
  async #waitUntilApplied(version: string | undefined, known: ReadonlySet<string>): Promise<Machine> {
    const watch = watchVersion(version ?? "", known, this.#context.clock);
    const machine = await waitUntilSettled(this.#target, this.#context, watch);
    if (watch(machine) === "ours") return machine;
    throw new UnhealthyError(`Fly rolled back to version ${machine.instance_id}`, true);
  }

  /**
   * After any response but success, the machine is read until the post can no longer take effect unseen. Posting again would create a second version,
   * and even an error can be returned for a post that took effect.
   */
  async #post(from: Machine, config: MachineConfig): Promise<Machine> {
    const { app, id } = this.#target;
    const { fly, clock } = this.#context;
    try {
      const body = { config, ...(from.instance_id === undefined ? {} : { current_version: from.instance_id }) };
      return this.#recordApplied(await fly.updateMachine(app, id, body, this.#lease.nonce));
    } catch (error) {
      if (!(error instanceof FlyError)) throw error;
      let last: Machine | undefined;
      const isIt = (now: Machine) =>
        now.instance_id !== from.instance_id && now.config && sameConfig(config, now.config, now.image_ref);
      const found = await pollUntil(
        clock,
        isDefinitelyRejected(error) ? clock.now() : visibleBy(error, clock),
        async () => {
          this.#lease.lost.throwIfAborted();
          last = await fly.getMachine(app, id);
          return isIt(last) ? last : undefined;
        },
      ).catch((unread: unknown) => {
        this.#posted ||= error.uncertain;
        throw error.uncertain ? unread : error;
      });
      if (found) return this.#recordApplied(found);
      // In transition for all that time: it cannot be excluded that the post took effect.
      if (error.uncertain && last && isTransitional(last)) this.#posted = true;
      throw error;
    }
  }

  #recordApplied(machine: Machine): Machine {
    this.#posted = true;
    this.#version = machine.instance_id;
    return machine;
  }

  /**
   * `known`: ids of events from before this version. Uncordoning must wait until a late cordon can no longer take effect, so a version that was healthy
   * before that wait is verified again after it.
   */
  async #waitUntilHealthy(version: string | undefined, known: ReadonlySet<string>): Promise<Machine> {
    const { app, id } = this.#target;
    const healthy = () =>
      waitUntilHealthy(
        { app, id, version: version ?? "" },
        { deadline: this.#deadline(), knownEvents: known, signal: this.#lease.lost },
        this.#context,
      );
    const machine = await healthy();
    return (await this.#waitForLateCordon()) ? healthy() : machine;
  }

  /**
   * Waits until a cordon without a response can no longer take effect: after the uncordon, it would take the machine out of routing for good. True: it waited.
   */
  async #waitForLateCordon(): Promise<boolean> {
    const { clock } = this.#context;
    const pause = this.#target.routed ? this.#cordonTakesEffectBy - clock.now() : 0;
    if (pause <= 0) return false;
    await sleep(clock, pause, this.#lease.lost);
    return true;
  }

  #deadline(): number {
    return this.#context.clock.now() + this.#target.timeoutSeconds * 1000;
  }

  /** Restores the old config where needed. @returns the error to report, which says what runs now */
  async #rollBack(error: unknown): Promise<Error> {
    const { app, id, pop } = this.#target;
    const { fly, clock, log } = this.#context;
    const before = this.#before;
    const after = `after ${Math.round((clock.now() - this.#startedAt) / 1000)} s`;
    const see = `See: npx fly-pops logs ${pop}`;
    const now = () => fly.getMachine(app, id).catch(() => before);
    if (this.#lease.lost.aborted) {
      const machine = await now();
      return new UpdateFailed(
        `${pop}: update given up ${after}, ${errorText(error)} Another client may be changing the machine, so it was left as it is; when last seen it was ${machine.state} with version ${machine.instance_id}. Run again when they are done.`,
        machine,
        { applied: false, cause: error },
      );
    }
    if (!this.#posted) return this.#rejectedError(error);
    log(`${pop}: ${errorText(error)}; restoring the configuration of version ${before.instance_id}`);
    let back: Machine;
    try {
      back = await this.#restore();
    } catch (second) {
      await this.#setRouting().catch(() => undefined);
      const machine = await now();
      return new UpdateFailed(
        `${pop}: update failed ${after}, ${errorText(error)}; and the old configuration could not be put back, ${errorText(second)}. When last seen the machine was ${machine.state} with version ${machine.instance_id}. ${see}; then run again.`,
        machine,
        { applied: false, cause: error },
      );
    }
    const routing = await this.#setRouting().then(
      () => "",
      (second: unknown) => ` Its routing could not be set, ${errorText(second)}: the next run sets it.`,
    );
    return new UpdateFailed(
      `${pop}: update undone ${after}, ${errorText(error)}. The old configuration is back as version ${back.instance_id} and verified; no further PoPs are updated.${routing} ${see}`,
      back,
      { applied: false, cause: error },
    );
  }

  async #restore(): Promise<Machine> {
    const { clock } = this.#context;
    const watch = this.#version === undefined ? undefined : watchVersion(this.#version, eventIds(this.#before), clock);
    const now = await waitUntilSettled(this.#target, this.#context, watch);
    const config = withPinnedImage(this.#before);
    // Fly may have rolled back by itself; then there is nothing to post, only to verify.
    if (now.state === "started" && now.config && sameConfig(config, now.config, now.image_ref))
      return this.#waitUntilHealthy(now.instance_id, eventIds(now));
    return this.#applyAndWait(now, config);
  }

  /** Fly rejected the update: only the old version's routing was changed. @returns the error to report */
  async #rejectedError(error: unknown): Promise<Error> {
    const { pop } = this.#target;
    const { state } = this.#before;
    const still = state === "started" ? "The old version still serves" : `The old version is ${state} as before`;
    const why = isOutOfCapacity(error)
      ? `${pop}: no capacity for the new version, ${error.message}. ${still}. Try again later, or choose a smaller size.`
      : `${pop}: ${errorText(error)}. ${still}. Run again.`;
    try {
      await this.#setRouting();
      return new Error(why, { cause: error });
    } catch (second) {
      return new UpdateFailed(
        `${why} It could not be put back into routing, ${errorText(second)}: the next run does that.`,
        this.#before,
        { applied: false, cause: error },
      );
    }
  }
}

/** Fly rejected the request itself. Any other error can be that of a duplicate of a request that was accepted. */
const isDefinitelyRejected = (error: FlyError): boolean =>
  [400, 401, 403, 422, 429].includes(error.status ?? 0) || isOutOfCapacity(error);

/** The config with the volume that is mounted now. A mount cannot be changed, and after a host migration the volume has another id than in state. */
function withCurrentVolume(config: MachineConfig, machine: Machine): MachineConfig {
  const volume = machine.config?.mounts?.[0]?.volume;
  const mount = config.mounts?.[0];
  return volume && mount ? { ...config, mounts: [{ ...mount, volume }] } : config;
}

/** The config that ran, with its image pinned by digest: the tag may have moved since. */
function withPinnedImage(machine: Machine): MachineConfig {
  const { registry, repository, digest } = machine.image_ref ?? {};
  const config = machine.config ?? {};
  if (!digest || !repository || config.image?.includes("@")) return config;
  return { ...config, image: `${registry ? `${registry}/` : ""}${repository}@${digest}` };
}

const errorText = (error: unknown): string => (error instanceof Error ? error.message : String(error));
