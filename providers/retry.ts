import { type Clock, sleep } from "./clock.ts";

export interface Patience {
  clock: Clock;
  /** First try included. */
  tries: number;
  /** The longest that all pauses and tries may take; no pause is begun that would end later. Default: no bound. */
  patienceMs?: number;
  /** How long to wait after a failure; undefined: what failed may not be repeated. `attempt` counts from 1. */
  pauseMs(error: unknown, attempt: number): number | undefined;
}

/** Runs `send` until it succeeds, may not be repeated, or patience ends. The only place that repeats a call. */
export async function withPatience<T>(
  { clock, tries, patienceMs = Number.POSITIVE_INFINITY, pauseMs }: Patience,
  send: () => Promise<T>,
): Promise<T> {
  const until = clock.now() + patienceMs;
  for (let attempt = 1; ; attempt++) {
    try {
      return await send();
    } catch (error) {
      const pause = attempt === tries ? undefined : pauseMs(error, attempt);
      if (pause === undefined || clock.now() + pause > until) throw error;
      await sleep(clock, pause);
    }
  }
}
