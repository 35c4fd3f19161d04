/** In which order changes reach the PoPs, and how many are out at once. Pure; the gate of providers/fly/rollout-gate.ts keeps to it. */

interface PlacedPop {
  /** PoP name, e.g. cdg-1. */
  name: string;
  region: string;
}

/**
 * The canary first, then the first PoP of every region, then the second of every region, and so on: whoever waits at the gate, or for one of the
 * engine's workers, waits for PoPs of other regions, not for its own neighbours.
 */
export function rolloutOrder<Pop extends PlacedPop>(pops: readonly Pop[], canary: string | undefined): Pop[] {
  const seen = new Map<string, number>();
  const ranked = pops.map((pop) => {
    const rank = seen.get(pop.region) ?? 0;
    seen.set(pop.region, rank + 1);
    return { pop, rank: pop.name === canary ? -1 : rank };
  });
  return ranked.toSorted((a, b) => a.rank - b.rank).map(({ pop }) => pop);
}

/**
 * PoPs that may be out of service at once, in the app and in one region. However wide the stack file allows it: one PoP always serves, and half of
 * a region that has several, so that visitors are not all sent across an ocean at once.
 */
export function unavailableLimits(
  pops: readonly PlacedPop[],
  region: string,
  maxUnavailable: number,
): { maxUnavailable: number; maxUnavailableInRegion: number } {
  const neighbours = pops.filter((it) => it.region === region).length;
  return {
    maxUnavailable: Math.max(1, Math.min(maxUnavailable, pops.length - 1)),
    maxUnavailableInRegion: Math.max(1, Math.floor(neighbours / 2)),
  };
}
