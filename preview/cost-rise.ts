/** Whether a bill rises so much that somebody should look at it. Pure. */
import type { Estimate } from "../components/cost.ts";

/** A month, in dollars. */
const largeRiseDollars = 10;
const largeRiseShare = 0.5;
/** Less is no news, whatever its share. */
const minRiseDollars = 1;

/** A first deployment has nothing to compare with. */
export function costRise(before: Estimate["monthly"], after: Estimate["monthly"]): string[] {
  const rise = Math.round((after.total - before.total) * 100) / 100;
  if (before.total === 0 || rise < minRiseDollars) return [];
  if (rise <= largeRiseDollars && rise <= before.total * largeRiseShare) return [];
  const percent = Math.round((rise / before.total) * 100);
  return [
    `cost rises from $${before.total.toFixed(2)} to $${after.total.toFixed(2)} per month, by $${rise.toFixed(2)} (${percent} %).`,
  ];
}
