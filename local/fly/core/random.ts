/** Where ids, nonces and choices come from: uniform in [0, 1). Injected, so that a seed decides everything in tests. */
export type Random = () => number;

/** The same seed, the same numbers (mulberry32). For tests and simulation, never for what must not be guessed. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** From the system's generator: lease nonces of a server people use must not be guessable. */
export const systemRandom: Random = () => {
  const [word] = crypto.getRandomValues(new Uint32Array(1)) as unknown as [number];
  return word / 2 ** 32;
};
