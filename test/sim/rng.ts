import { type Random, seeded } from "../../local/fly/core/random.ts";

/** A seeded random number generator. The same seed and the same sequence of calls give the same results. */
export interface Rng {
  random: Random;
  /** A random integer from `low` to `high`, both included. */
  int(low: number, high: number): number;
  chance(probability: number): boolean;
  pick<T>(of: readonly T[]): T;
  /** One of the keys, with a probability proportional to its value. */
  weighted<T extends string>(of: Record<T, number>): T;
  /** A new, independent generator, so that the calls of one part of a simulation do not change the results of another. */
  fork(): Rng;
}

export function createRng(seed: number): Rng {
  const random = seeded(seed);
  const it: Rng = {
    random,
    int: (low, high) => low + Math.floor(random() * (high - low + 1)),
    chance: (probability) => random() < probability,
    pick: (of) => {
      if (of.length === 0) throw new Error("nothing to pick from");
      return of[Math.floor(random() * of.length)] as (typeof of)[number];
    },
    weighted(of) {
      const entries = Object.entries<number>(of);
      let left = random() * entries.reduce((sum, [, weight]) => sum + weight, 0);
      for (const [word, weight] of entries) {
        left -= weight;
        if (left < 0) return word as keyof typeof of;
      }
      return entries.at(-1)?.[0] as keyof typeof of;
    },
    fork: () => createRng(Math.floor(random() * 2 ** 32)),
  };
  return it;
}
