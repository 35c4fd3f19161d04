/**
 * Fly's list prices as data, US dollars without tax. A month is 30 days, as on the page.
 * Source: https://fly.io/docs/about/pricing/, its text as of 2026-08-05 (superfly/docs 84fd3d0). The table of sizes and the regions' factors are drawn
 * from a file that is not in that repository: read from the page of 2025-08-19, spot-checked on 2026-08-09 (ams, sin, nrt, all factors).
 */
import type { EgressGroup } from "../fly/regions.ts";

export interface Prices {
  source: string;
  /** Day on which the newest of the prices was read, ISO 8601. */
  date: string;
  currency: "USD";
  /** Price of a machine per month in the base region, by size and MB of memory. Missing sizes and amounts are not on the page. */
  machines: Readonly<Record<string, Readonly<Record<number, number>>>>;
  /** Multiplier of the base price of machines, by region. */
  regionFactor: Readonly<Record<string, number>>;
  /** Price per month of a GB of memory beyond a listed amount, base region. */
  extraMemoryGb: number;
  /** Price per month of a provisioned GB of a volume. */
  volumeGb: number;
  /** Price per month of a GB of snapshots beyond the free ones. */
  snapshotGb: number;
  /** Free GB of snapshots per organization. */
  snapshotsFreeGb: number;
  /** Price of an address per month, by type. */
  addresses: Readonly<Record<"v4" | "v6", number>>;
  /** Price of a GB sent to the internet, by group of regions. Incoming traffic is free. */
  egressGb: Readonly<Record<EgressGroup, number>>;
}

// biome-ignore format: the page's table, one size per line
const machines: Prices["machines"] = {
  "shared-cpu-1x": { 256: 1.94, 512: 3.19, 1024: 5.7, 2048: 10.7 },
  "shared-cpu-2x": { 512: 3.89, 1024: 6.39, 2048: 11.39, 4096: 21.4 },
  "shared-cpu-4x": { 1024: 7.78, 2048: 12.78, 4096: 22.78, 8192: 42.79 },
  "shared-cpu-8x": { 2048: 15.55, 4096: 25.56, 8192: 45.57, 16384: 85.59 },
  "performance-1x": { 2048: 31, 4096: 41.01, 8192: 61.02 },
  "performance-2x": { 4096: 62, 8192: 82.01, 16384: 122.03 },
  "performance-4x": { 8192: 124, 16384: 164.02, 32768: 244.06 },
  "performance-8x": { 16384: 248, 32768: 328.04, 65536: 488.13 },
  "performance-16x": { 32768: 496.01, 65536: 656.09, 131072: 976.25 },
};

// biome-ignore format: the page's list, regions of one price together
const regionFactor: Prices["regionFactor"] = {
  iad: 1, ewr: 1,
  ams: 1.038461538, arn: 1.038461538,
  bom: 1.076923077,
  yyz: 1.115384615,
  lhr: 1.134615385, cdg: 1.134615385,
  fra: 1.153846154,
  sjc: 1.192307692,
  lax: 1.199519231,
  ord: 1.25, dfw: 1.25,
  sin: 1.269230769, syd: 1.269230769,
  jnb: 1.302884615,
  nrt: 1.307692308,
  gru: 1.615384615,
};

export const flyPrices: Prices = {
  source: "https://fly.io/docs/about/pricing/",
  date: "2026-08-09",
  currency: "USD",
  machines,
  regionFactor,
  extraMemoryGb: 5,
  volumeGb: 0.15,
  snapshotGb: 0.08,
  snapshotsFreeGb: 10,
  addresses: { v4: 2, v6: 0 },
  egressGb: { na_eu: 0.02, apac_oceania_sa: 0.04, africa_india: 0.12 },
};
