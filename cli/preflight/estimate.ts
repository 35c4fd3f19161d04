/** The maximum cost of a run by list prices. Pure. */
import { flyPrices, type Prices } from "../../components/prices.ts";
import { size } from "./machine.ts";

export interface MaxCost {
  dollars: number;
  /** What it consists of, as a sentence. */
  description: string;
}

/** The promised limit. A run that could cost more is not started. */
export const limitDollars = 0.1;
/** Running machines. A third one is created but never launched. */
const machines = 2;
/** Two with 1 GB, and one that grows to 2 GB. */
const volumesGb = 4;
const hoursAMonth = 30 * 24;

/** Machines by the second for the longest run; volumes by the begun hour, of which a run can touch two. An IPv6 address and an app cost nothing. */
export function maxCost(region: string, longestMinutes: number, prices: Prices = flyPrices): MaxCost {
  const month = prices.machines["shared-cpu-1x"]?.[size.memoryMb];
  if (month === undefined) throw new Error(`no price for a shared-cpu-1x with ${size.memoryMb} MB`);
  // For a region without a published factor, assume the most expensive one.
  const factor = prices.regionFactor[region] ?? Math.max(...Object.values(prices.regionFactor));
  const running = (machines * month * factor * longestMinutes) / 60 / hoursAMonth;
  const stored = (volumesGb * prices.volumeGb * 2) / hoursAMonth;
  return {
    dollars: running + stored,
    description: `${machines} machines (shared-cpu-1x, ${size.memoryMb} MB) for at most ${longestMinutes} minutes, three volumes with ${volumesGb} GB together, an IPv6 address`,
  };
}
