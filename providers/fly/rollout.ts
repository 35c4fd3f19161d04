/**
 * The gate of a rollout: at most so many machines of an app are out of service at once, and after the first failure no further one is touched.
 * One dynamic host serves all resources of a phase, so a gate at module scope is shared by all of them.
 */

import pLimit, { type LimitFunction } from "p-limit";
import { HostUnreachable } from "./errors.ts";

export interface Rollout {
  /** Runs `work` when it is this machine's turn. Rejects without running it when the rollout was stopped. */
  turn<T>(place: Place, work: () => Promise<T>): Promise<T>;
}

export interface Place {
  app: string;
  /** For messages, e.g. cdg-1. */
  pop: string;
  /** How many machines of the app may be out of service at once. */
  width: number;
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

export function createRollout(): Rollout {
  const gates = new Map<string, { limit: LimitFunction; failed: string | undefined }>();
  const gateOf = (app: string, width: number) => {
    const gate = gates.get(app) ?? { limit: pLimit(width), failed: undefined };
    gates.set(app, gate);
    return gate;
  };
  return {
    turn({ app, pop, width, log }, work) {
      const gate = gateOf(app, width);
      if (gate.limit.activeCount + gate.limit.pendingCount >= width)
        log(`${pop}: waits for its turn, ${width} at a time`);
      return gate.limit(async () => {
        if (gate.failed !== undefined) throw new RolloutStopped(pop, gate.failed);
        try {
          return await work();
        } catch (error) {
          // One host away is no reason to hold up the rest.
          if (!(error instanceof HostUnreachable)) gate.failed ??= pop;
          throw error;
        }
      });
    },
  };
}
