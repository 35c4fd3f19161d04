/**
 * Limits how many machines of an app, and of each of its regions, are out of service at once. After the first failure, no further machine is
 * updated. One dynamic host process serves all resources of a phase, so a gate at module scope is shared by all of them.
 */

import pLimit, { type LimitFunction } from "p-limit";
import { HostUnreachable } from "../fly/errors.ts";

export interface RolloutGate {
  /** Runs `work` when a slot is free for this machine. Rejects without running it if the rollout was stopped. */
  run<T>(place: RolloutSlot, work: () => Promise<T>): Promise<T>;
  /** Throws if nothing further may be started: the run was cancelled, or the engine that started it is gone. Call it again after each wait. */
  throwIfCancelled(pop: string): void;
}

export interface RolloutSlot {
  app: string;
  /** For messages, e.g. cdg-1. */
  pop: string;
  /** Fly region code. */
  region: string;
  /** Maximum number of machines of the app that are out of service at once. */
  maxUnavailable: number;
  /** Maximum number of them in this region. */
  maxUnavailableInRegion: number;
  log: (line: string) => void;
}

/** The machine was not updated because the update of another one failed. */
export class RolloutStopped extends Error {
  constructor(pop: string, failed: string) {
    super(
      `${pop}: not touched, because the update of ${failed} failed. It still serves its old version. Fix ${failed}, then run again.`,
    );
    this.name = "RolloutStopped";
  }
}

/** The operation was not started: the run was cancelled (Ctrl-C), or its engine ended. */
class NotStarted extends Error {
  constructor(pop: string, why: string) {
    super(`${pop}: nothing was done, because ${why} before its turn. It was not changed. Run again.`);
    this.name = "NotStarted";
  }
}

export interface RolloutGateOptions {
  /** Whether the engine that started this process is gone. Default: never. */
  isEngineGone?: () => boolean;
  /** Whether the run was cancelled. Default: never. */
  isCancelled?: () => boolean;
}

export function createRolloutGate({
  isEngineGone = () => false,
  isCancelled = () => false,
}: RolloutGateOptions = {}): RolloutGate {
  const throwIfCancelled = (pop: string): void => {
    if (isCancelled()) throw new NotStarted(pop, "the run was cancelled");
    if (isEngineGone()) throw new NotStarted(pop, "the Pulumi engine ended");
  };
  const gates = new Map<string, AppGate>();
  const gateOf = (app: string, width: number): AppGate => {
    const gate = gates.get(app) ?? {
      limit: pLimit(width),
      alone: pLimit(1),
      regions: new Map(),
      failed: undefined,
      hostDown: false,
      verified: false,
    };
    gates.set(app, gate);
    return gate;
  };
  const regionOf = ({ regions }: AppGate, region: string, width: number): LimitFunction => {
    const limit = regions.get(region) ?? pLimit(width);
    regions.set(region, limit);
    return limit;
  };
  return {
    throwIfCancelled,
    run({ app, pop, region, maxUnavailable, maxUnavailableInRegion, log }, work) {
      const gate = gateOf(app, maxUnavailable);
      const inRegion = regionOf(gate, region, maxUnavailableInRegion);
      if (isFull(inRegion)) log(`${pop}: waits for its turn, ${maxUnavailableInRegion} at a time in ${region}`);
      const guarded = async () => {
        throwIfCancelled(pop);
        if (gate.failed !== undefined) throw new RolloutStopped(pop, gate.failed);
        try {
          const done = await work();
          gate.verified = true;
          return done;
        } catch (error) {
          // A host that is down does not stop the rollout, and an update that was not started has not failed.
          if (error instanceof HostUnreachable) gate.hostDown = true;
          else if (!(error instanceof NotStarted)) gate.failed ??= pop;
          throw error;
        }
      };
      // The region first: a machine that waits for one of its region must not take a slot from another region.
      return inRegion(() => {
        if (isFull(gate.limit)) log(`${pop}: waits for its turn, ${maxUnavailable} at a time`);
        // If the canary was skipped, the new version is not verified yet: the next machine is updated alone.
        return gate.limit(() => (gate.hostDown && !gate.verified ? gate.alone(guarded) : guarded()));
      });
    },
  };
}

interface AppGate {
  limit: LimitFunction;
  /** Limit of one at a time, while no machine has been verified yet. */
  alone: LimitFunction;
  /** By region code. */
  regions: Map<string, LimitFunction>;
  /** PoP whose failure stopped the rollout. */
  failed: string | undefined;
  /** A machine was skipped because its host is down. */
  hostDown: boolean;
  /** A machine was updated and is healthy. */
  verified: boolean;
}

const isFull = ({ activeCount, pendingCount, concurrency }: LimitFunction): boolean =>
  activeCount + pendingCount >= concurrency;
