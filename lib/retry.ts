import { type Clock, sleep } from "./clock.ts";

/** When and how often a failed call is repeated. */
export interface RetryPolicy {
  clock: Clock;
  /** Maximum number of attempts, including the first. */
  maxAttempts: number;
  /** Maximum time for all attempts and delays together; no delay starts that would end later. Default: unlimited. */
  timeoutMs?: number;
  /** Delay before the next attempt, in milliseconds; undefined: the call must not be repeated. `attempt` counts from 1. */
  delayMs(error: unknown, attempt: number): number | undefined;
}

/** Runs `call` until it succeeds, must not be repeated, or the policy is exhausted. This is the only place that repeats calls. */
export async function withRetry<T>(
  { clock, maxAttempts, timeoutMs = Number.POSITIVE_INFINITY, delayMs }: RetryPolicy,
  call: () => Promise<T>,
): Promise<T> {
  const deadline = clock.now() + timeoutMs;
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      const delay = attempt === maxAttempts ? undefined : delayMs(error, attempt);
      if (delay === undefined || clock.now() + delay > deadline) throw error;
      await sleep(clock, delay);
    }
  }
}
