import type { Run } from "./run.ts";
import { kindOf, type SuiteTest, type Verdict } from "./verdict.ts";

type Found = Pick<Run, "tests" | "outcomes" | "verdicts">;

/** Verdicts that need a reason. For one for want of a dependency, that is the reason. */
const accounted: readonly (Verdict | undefined)[] = ["failed", "setup", "retry"];

/** Required and optimal tests that were not met, in the suite's order. Checks have no right answer. */
export const notMet = ({ tests, verdicts }: Pick<Found, "tests" | "verdicts">): SuiteTest[] =>
  tests.filter((test) => kindOf(test) !== "check" && accounted.includes(verdicts.get(test.id)));

/** Where a run and the reasons for what is not met do not agree, a sentence each. */
export function disagreements(found: Found, reasons: Readonly<Record<string, string>>): string[] {
  const without = notMet(found)
    .filter(({ id }) => !Object.hasOwn(reasons, id))
    .map(({ id, name }) => {
      const said = [found.outcomes[id]].flat().at(-1);
      return `${id}: ${found.verdicts.get(id)} (${said}), and unmet.ts has no reason for it. It asks: ${name}`;
    });
  const unmet = new Set(notMet(found).map(({ id }) => id));
  const stale = Object.keys(reasons)
    .filter((id) => !unmet.has(id))
    .map(
      (id) =>
        `${id}: unmet.ts has a reason for it, but its verdict is ${found.verdicts.get(id) ?? "missing, because there is no such test"}.`,
    );
  return [...without, ...stale];
}
