/** Warns about a large rise of the estimated cost. Pure. */
import type { Estimate } from "../components/cost.ts";

/** Dollars per month. */
const largeRiseDollars = 10;
const largeRiseShare = 0.5;
/** Smaller rises are ignored, whatever their share. */
const minRiseDollars = 1;

/** No warning for a first deployment. */
export function costRise(before: Estimate["monthly"], after: Estimate["monthly"]): string[] {
  const rise = Math.round((after.total - before.total) * 100) / 100;
  if (before.total === 0 || rise < minRiseDollars) return [];
  if (rise <= largeRiseDollars && rise <= before.total * largeRiseShare) return [];
  const percent = Math.round((rise / before.total) * 100);
  return [
    `cost rises from $${before.total.toFixed(2)} to $${after.total.toFixed(2)} per month, by $${rise.toFixed(2)} (${percent} %).`,
  ];
}
