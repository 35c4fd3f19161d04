import { type Clock, sleep } from "../clock.ts";

/**
 * Fly's documented rate limits, per action and per object: one call a second with a burst of three, five and ten for reading a machine
 * (https://fly.io/docs/machines/api/working-with-machines-api/#rate-limits). Kept on our side, so that a 429 does not happen.
 */
const limits: Record<string, { perSecond: number; burst: number }> = {
  "get machine": { perSecond: 5, burst: 10 },
  // Another server's, whose limit is not told. Pages are read one after another.
  "read logs": { perSecond: 5, burst: 10 },
};
const defaultLimit = { perSecond: 1, burst: 3 };

export interface RateLimiter {
  /** Resolves when the next call of this action on this object may go out. */
  wait(action: string, object: string): Promise<void>;
}

/** A token bucket an action and object. Calls queue in the order they came. */
export function createRateLimiter(clock: Clock): RateLimiter {
  /** When the bucket was, or will be, full again; one number says it all. */
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
