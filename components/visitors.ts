/** Where visitors are, as far as Fly's price of egress tells places apart. Pure. */
import { type EgressGroup, regionByCode } from "../providers/fly/regions.ts";

/** Parts of the world by the names of the stack file, with the group of equal price they are in: https://fly.io/docs/about/pricing/#data-transfer-pricing */
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

/** Percent of all that is sent, by where it goes. They make 100. */
export type Visitors = Partial<Record<VisitorArea, number>>;

export interface EgressShare {
  /** `to eu`, or `from cdg` where visitors are taken to be near. */
  where: string;
  gb: number;
  group: EgressGroup;
}

/** What PoPs send, each `gb`: by where the visitors are said to be; unsaid, each PoP's are in its own part of the world. */
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
