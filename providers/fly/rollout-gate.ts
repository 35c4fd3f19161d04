/**
 * The gate of a rollout: at most so many machines of an app, and of one region of it, are out of service at once, and after the first failure no
 * further one is touched.
 * One dynamic host serves all resources of a phase, so a gate at module scope is shared by all of them.
 */

import pLimit, { type LimitFunction } from "p-limit";
import { HostUnreachable } from "./errors.ts";

export interface RolloutGate {
  /** Runs `work` when it is this machine's turn. Rejects without running it when the rollout was stopped. */
  run<T>(place: RolloutSlot, work: () => Promise<T>): Promise<T>;
  /** Throws when nothing further may be begun: the run was cancelled, or the engine that asked is gone. Whatever waits asks again. */
  throwIfCancelled(pop: string): void;
}

export interface RolloutSlot {
  app: string;
  /** For messages, e.g. cdg-1. */
  pop: string;
  /** Fly region code. */
  region: string;
  /** How many machines of the app may be out of service at once. */
  maxUnavailable: number;
  /** How many of them in this region. */
  maxUnavailableInRegion: number;
  log: (line: string) => void;
}

/** Thrown for a machine that was not touched because another one failed before. */
export class RolloutStopped extends Error {
  constructor(pop: string, failed: string) {
    super(
      `${pop}: not touched, because the update of ${failed} failed before. It goes on serving what it served. Mend ${failed}, then run again.`,
    );
    this.name = "RolloutStopped";
  }
}

/** Thrown for what was asked for and not begun: the run was cancelled (Ctrl-C), or its engine ended. */
export class NotStarted extends Error {
  constructor(pop: string, why: string) {
    super(`${pop}: nothing was done, because ${why} before its turn. It is as it was. Run again.`);
    this.name = "NotBegun";
  }
}

export interface RolloutGateOptions {
  /** Whether the engine that asks for turns is gone. Default: never. */
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
          // One host away is no reason to hold up the rest; what was not begun has not failed.
          if (error instanceof HostUnreachable) gate.hostDown = true;
          else if (!(error instanceof NotStarted)) gate.failed ??= pop;
          throw error;
        }
      };
      // The region first: whoever waits for a neighbour takes no place from another region.
      return inRegion(() => {
        if (isFull(gate.limit)) log(`${pop}: waits for its turn, ${maxUnavailable} at a time`);
        // Where the canary was skipped, nothing is known of what is rolled out: another one tries it alone.
        return gate.limit(() => (gate.hostDown && !gate.verified ? gate.alone(guarded) : guarded()));
      });
    },
  };
}

interface AppGate {
  limit: LimitFunction;
  /** For one at a time, while nothing has been verified yet. */
  alone: LimitFunction;
  /** By region code. */
  regions: Map<string, LimitFunction>;
  /** PoP whose failure ended the rollout. */
  failed: string | undefined;
  /** A machine was skipped, because its host is away. */
  hostDown: boolean;
  /** A machine was updated, and serves. */
  verified: boolean;
}

const isFull = ({ activeCount, pendingCount, concurrency }: LimitFunction): boolean =>
  activeCount + pendingCount >= concurrency;
