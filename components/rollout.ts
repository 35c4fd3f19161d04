/** The order in which PoPs are updated, and how many are out of service at once. Pure. providers/rollout-gate.ts enforces it. */

interface PlacedPop {
  /** PoP name, e.g. cdg-1. */
  name: string;
  region: string;
}

/**
 * The canary first, then the first PoP of each region, then the second of each region, and so on, so that regions are updated in parallel and PoPs do not
 * wait for others of their own region first.
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
 * Maximum number of PoPs out of service at once, in the app and in one region. Whatever the stack file allows, at least one PoP serves, and half of a
 * region that has several, so that not all its visitors are routed to another continent.
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
