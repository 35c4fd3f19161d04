/** Rules for the inputs of the cost estimate. */
import { type ConfigIssue, issue } from "../issues.ts";
import type { ValidPart } from "../valid-part.ts";

/** The percentages add up to 100. */
export function checkEgressTotal({ file, isInvalid }: ValidPart): ConfigIssue[] {
  if (file.egress === undefined || isInvalid("egress")) return [];
  const parts = Object.entries(file.egress);
  if (parts.some(([area]) => isInvalid("egress", area))) return [];
  const sum = parts.reduce((all, [, percent]) => all + (percent ?? 0), 0);
  return sum === 100
    ? []
    : [issue(["egress"], `has ${sum} percent in total: the values must add up to 100, as in { eu: 80, asia: 20 }.`)];
}
