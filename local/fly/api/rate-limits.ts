/** Fly's documented limits (https://fly.io/docs/machines/api/working-with-machines-api/#rate-limits), a bucket for each action on each object. */
import type { Clock } from "../../../lib/clock.ts";

interface Limit {
  perSecond: number;
  burst: number;
}

const usual: Limit = { perSecond: 1, burst: 3 };
const special: Record<string, Limit> = {
  "GET machines/:id": { perSecond: 5, burst: 10 },
  "DELETE apps/:app": { perSecond: 100 / 60, burst: 100 },
};

export interface RateLimits {
  /** Milliseconds until this call would be let through; 0: now, and it is counted. */
  ask(route: string, object: string): number;
}

export function createRateLimits(clock: Clock): RateLimits {
  /** When a bucket is full again; one number says it all. */
  const fullAt = new Map<string, number>();
  return {
    ask(route, object) {
      const { perSecond, burst } = special[route] ?? usual;
      const gap = 1000 / perSecond;
      const key = `${route} ${object}`;
      const now = clock.now();
      const full = Math.max(fullAt.get(key) ?? now, now) + gap;
      const early = full - now - burst * gap;
      if (early > 0) return early;
      fullAt.set(key, full);
      return 0;
    },
  };
}
