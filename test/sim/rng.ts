import { type Random, seeded } from "../../local/fly/random.ts";

/** The choices of one seed. The same seed, asked the same questions in the same order, gives the same answers. */
export interface Rng {
  random: Random;
  /** A whole number, both ends included. */
  int(low: number, high: number): number;
  chance(probability: number): boolean;
  pick<T>(of: readonly T[]): T;
  /** One of the words, each as likely as its number is large. */
  weighted<T extends string>(of: Record<T, number>): T;
  /** Other dice out of these: what one part of a simulation asks then does not move what another part is told. */
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
