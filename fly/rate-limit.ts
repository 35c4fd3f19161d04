import { type Clock, sleep } from "../lib/clock.ts";

/**
 * Fly's documented rate limits, per action and object: 1 call per second with a burst of 3; 5 per second with a burst of 10 for reading a machine
 * (https://fly.io/docs/machines/api/working-with-machines-api/#rate-limits). Enforced on the client so that Fly does not return 429.
 */
const limits: Record<string, { perSecond: number; burst: number }> = {
  "get machine": { perSecond: 5, burst: 10 },
  // Another server, with an undocumented limit. Pages are read one after another.
  "read logs": { perSecond: 5, burst: 10 },
};
const defaultLimit = { perSecond: 1, burst: 3 };

export interface RateLimiter {
  /** Resolves when the next call of this action on this object may be sent. */
  wait(action: string, object: string): Promise<void>;
}

/** One token bucket per action and object. Calls wait in the order in which they arrive. */
export function createRateLimiter(clock: Clock): RateLimiter {
  /** When each bucket was or will be full, in milliseconds since the epoch. That is the whole state of a bucket. */
  const fullAt = new Map<string, number>();
  return {
    async wait(action, object) {
      const { perSecond, burst } = limits[action] ?? defaultLimit;
      const gap = 1000 / perSecond;
      const key = `${action} ${object}`;
      const now = clock.now();
      const full = Math.max(fullAt.get(key) ?? now, now) + gap;
      fullAt.set(key, full);
      const early = full - now - burst * gap;
      if (early > 0) await sleep(clock, early);
    },
  };
}
