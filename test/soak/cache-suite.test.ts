import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cacheSuitePage, cacheSuitePath } from "../../tools/docs/cache-suite.ts";
import { disagreements } from "./cache-suite/reasons.ts";
import { report } from "./cache-suite/report.ts";
import { harness, type Run, runSuite } from "./cache-suite/run.ts";
import { unmet } from "./cache-suite/unmet.ts";
import { kindOf, type Verdict } from "./cache-suite/verdict.ts";

let run: Run;

beforeAll(async () => {
  run = await runSuite();
  console.log(report(run));
});
afterAll(() => harness.sweep());

test("what the suite of HTTP caches does not find in a PoP is what is known, each with its reason", () => {
  expect(disagreements(run, unmet)).toEqual([]);
});

test("docs/cache-suite.md is what tools/docs/cache-suite.ts writes", () => {
  expect(readFileSync(cacheSuitePath, "utf8")).toBe(cacheSuitePage(run));
});

/** What the suite's own pages show (lib/display.mjs), by kind where that matters. */
const shown: Record<string, Verdict> = {
  "✅": "passed",
  "⛔️": "failed",
  "⚠️": "failed",
  Y: "passed",
  N: "failed",
  "⚪️": "dependency",
  "🔹": "setup",
  "↻": "retry",
  "-": "untested",
};

test("verdicts are those of the suite's own pages", () => {
  const theirs = run.tests.map((test) => [test.id, kindOf(test), shown[run.shown[test.id] ?? ""]]);
  expect(theirs).toEqual(run.tests.map((test) => [test.id, kindOf(test), run.verdicts.get(test.id)]));
  expect(theirs.length).toBeGreaterThan(300);
});
