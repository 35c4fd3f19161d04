/** Egress by area of the visitors, at the granularity of Fly's egress prices. Pure. */
import { type EgressGroup, regionByCode } from "../fly/regions.ts";

/** Areas by their names in the stack file, with their price group: https://fly.io/docs/about/pricing/#data-transfer-pricing */
export const visitorAreas = {
  eu: "na_eu",
  na: "na_eu",
  asia: "apac_oceania_sa",
  oceania: "apac_oceania_sa",
  sa: "apac_oceania_sa",
  africa: "africa_india",
  india: "africa_india",
} as const satisfies Record<string, EgressGroup>;

export type VisitorArea = keyof typeof visitorAreas;

/** Percentage of egress by area. The sum is 100. */
export type Visitors = Partial<Record<VisitorArea, number>>;

export interface EgressShare {
  /** `to eu`, or `from cdg` if visitors are assumed to be near the PoP. */
  where: string;
  gb: number;
  group: EgressGroup;
}

/** The egress of PoPs that send `gb` each, by area of the visitors. Without `visitors`, each PoP's visitors are in its own area. */
export function egressByArea(
  pops: readonly { name: string; region: string }[],
  gb: number,
  visitors?: Visitors,
): EgressShare[] {
  if (visitors === undefined)
    return pops.map(({ region }) => ({
      where: `from ${region}`,
      gb,
      group: regionByCode(region)?.egressGroup ?? "na_eu",
    }));
  const all = gb * pops.length;
  return (Object.entries(visitors) as [VisitorArea, number][]).map(([area, percent]) => ({
    where: `to ${area}`,
    gb: (all * percent) / 100,
    group: visitorAreas[area],
  }));
}
