import type { Run } from "./run.ts";
import { type Counts, count, type Kind, kindOf, kinds, type Verdict } from "./verdict.ts";

/** What a run found, for a terminal: counts by kind, then each test that failed or could not be judged, with what was seen. */
export function report({ tests, outcomes, verdicts }: Pick<Run, "tests" | "outcomes" | "verdicts">): string {
  const lines = ([kind, verdict]: [Kind, Verdict]): string[] => {
    const those = tests.filter((test) => kindOf(test) === kind && verdicts.get(test.id) === verdict);
    if (those.length === 0) return [];
    const seen = ({ id }: { id: string }): string => [outcomes[id]].flat().at(-1)?.toString() ?? "";
    const width = Math.max(...those.map(({ id }) => id.length));
    return ["", `${kind}, ${verdict}:`, ...those.map((test) => `  ${test.id.padEnd(width)}  ${seen(test)}`)];
  };
  const listed = (["required", "optimal"] as const).flatMap((kind) =>
    (["failed", "setup", "retry"] as const).map((verdict): [Kind, Verdict] => [kind, verdict]),
  );
  return [...summary(count(tests, verdicts)), ...listed.flatMap(lines)].join("\n");
}

function summary(counts: Counts): string[] {
  return kinds.map((kind) => {
    const { passed, failed, ...others } = counts[kind];
    const rest = Object.entries(others)
      .filter(([, number]) => number > 0)
      .map(([verdict, number]) => `, ${number} ${verdict}`);
    return `${kind.padEnd(8)} ${String(passed).padStart(3)} passed, ${String(failed).padStart(3)} failed${rest.join("")}`;
  });
}
