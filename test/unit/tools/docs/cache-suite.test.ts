import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { cacheSuitePage, cacheSuitePath } from "../../../../tools/docs/cache-suite.ts";
import { disagreements } from "../../../soak/cache-suite/reasons.ts";
import { unmet } from "../../../soak/cache-suite/unmet.ts";
import { type Outcomes, type SuiteTest, verdictsOf } from "../../../soak/cache-suite/verdict.ts";

const tests: SuiteTest[] = [
  { id: "met", name: "is met" },
  { id: "refused", name: "is refused" },
  { id: "waits", name: "waits for another", depends_on: ["refused"] },
  { id: "better", name: "would be better", kind: "optimal" },
  { id: "odd", name: "does it?", kind: "check" },
];
const outcomes: Outcomes = {
  met: true,
  refused: ["Assertion", "Response 2 comes from cache"],
  waits: true,
  better: ["Setup", "Response 1 status is 502, not 200"],
  odd: ["Assertion", "no"],
};
const found = { tests, outcomes, verdicts: verdictsOf(tests, outcomes) };
const reasons = { refused: "no cache does it", better: "nor this" };

describe("a run and the reasons for what is not met", () => {
  test("agree when each failed or hindered test has one", () => {
    expect(disagreements(found, reasons)).toEqual([]);
  });

  test("disagree over a test that failed without one, and say what was seen and what was asked", () => {
    expect(disagreements(found, { better: "nor this" })).toEqual([
      "refused: failed (Response 2 comes from cache), and unmet.ts has no reason for it. It asks: is refused",
    ]);
  });

  test.each([
    ["met", "its verdict is passed."],
    // It would fail no more than its dependency does.
    ["waits", "its verdict is dependency."],
    ["odd", "its verdict is failed."],
    ["gone", "its verdict is missing, because there is no such test."],
  ])("disagree over a reason for a test that needs none: %s", (id, end) => {
    expect(disagreements(found, { ...reasons, [id]: "once" })).toEqual([
      `${id}: unmet.ts has a reason for it, but ${end}`,
    ]);
  });
});

describe("the page", () => {
  const page = cacheSuitePage(found, reasons);

  test("counts by kind", () => {
    expect(page).toContain("| required | 1 met | 1 not met | 1 |\n| optimal | 0 met | 0 not met | 1 |\n");
    expect(page).toContain("| check | 0 yes | 1 no | 0 |\n");
  });

  test("has a line for each test that is not met, by kind, and none for checks", () => {
    const [, required, optimal] = page.split("\n## ");
    expect(required).toBe(
      "Not met: required\n\n| Test | Why |\n| --- | --- |\n| [refused](https://cache-tests.fyi/?id=refused) | no cache does it |\n",
    );
    expect(optimal).toBe(
      "Not met: optimal\n\n| Test | Why |\n| --- | --- |\n| [better](https://cache-tests.fyi/?id=better) (not judged) | nor this |\n",
    );
  });
});

test("docs/cache-suite.md has the tests and reasons of unmet.ts", () => {
  const rows = readFileSync(cacheSuitePath, "utf8").matchAll(
    /^\| \[(.+?)\]\(https:\/\/cache-tests\.fyi.*?\)(?: \(not judged\))? \| (.+) \|$/gm,
  );
  const written = [...rows].map(([, id, why]) => [id, why]);
  expect(written.toSorted()).toEqual(Object.entries(unmet).toSorted());
});
