import { describe, expect, test } from "vitest";
import { report } from "../../../soak/cache-suite/report.ts";
import {
  count,
  type Outcomes,
  type SuiteTest,
  verdictsOf,
  withDependencies,
} from "../../../soak/cache-suite/verdict.ts";

const of = (id: string, more: Partial<SuiteTest> = {}): SuiteTest => ({ id, name: `${id} holds`, ...more });

const verdictOn = (outcome: Outcomes[string] | undefined) =>
  verdictsOf([of("a")], outcome === undefined ? {} : { a: outcome }).get("a");

describe("the verdict on a test", () => {
  test.each<[string, Outcomes[string] | undefined, string]>([
    ["that held", true, "passed"],
    ["that did not", ["Assertion", "Response 2 comes from cache"], "failed"],
    ["whose client broke", ["TypeError", "serverRequest is undefined"], "failed"],
    ["that could not begin", ["Setup", "PUT config resulted in 405"], "setup"],
    ["whose request came twice", ["Setup", "retry"], "retry"],
    // Only the suite's own word for it, in its own kind of error.
    ["that speaks of a retry", ["Assertion", "retry"], "failed"],
    ["that was not run", undefined, "untested"],
  ])("%s", (_, outcome, verdict) => {
    expect(verdictOn(outcome)).toBe(verdict);
  });

  const failed: Outcomes[string] = ["Assertion", "no"];
  const chain = [of("c", { depends_on: ["b"] }), of("b", { depends_on: ["a"] }), of("a")];

  test("counts only when all it depends on passed, however far away", () => {
    const verdicts = (a: Outcomes[string]) => Object.fromEntries(verdictsOf(chain, { a, b: true, c: failed }));
    expect(verdicts(true)).toEqual({ a: "passed", b: "passed", c: "failed" });
    expect(verdicts(failed)).toEqual({ a: "failed", b: "dependency", c: "dependency" });
    expect(verdicts(["Setup", "retry"])).toEqual({ a: "retry", b: "dependency", c: "dependency" });
  });

  test("does not count when one of several dependencies was not run", () => {
    const tests = [of("a"), of("b"), of("c", { depends_on: ["a", "b"] })];
    expect(verdictsOf(tests, { a: true, c: true }).get("c")).toBe("dependency");
  });

  test("is untested before anything else", () => {
    expect(verdictsOf([of("a"), of("b", { depends_on: ["a"] })], { a: failed }).get("b")).toBe("untested");
  });

  test("is not given for a dependency that does not exist", () => {
    expect(() => verdictsOf([of("b", { depends_on: ["a"] })], { b: true })).toThrow(
      "test a: another one depends on it, but the suite has none of that id.",
    );
  });
});

describe("counts", () => {
  const tests = [of("a"), of("b", { kind: "optimal" }), of("c", { kind: "check" }), of("d", { kind: "required" })];
  const outcomes: Outcomes = { a: true, b: ["Assertion", "seen b"], c: ["Setup", "x"], d: ["Assertion", "seen d"] };
  const verdicts = verdictsOf(tests, outcomes);

  test("are by kind, and a test that says none is required", () => {
    expect(count(tests, verdicts)).toMatchObject({
      required: { passed: 1, failed: 1, setup: 0 },
      optimal: { passed: 0, failed: 1 },
      check: { passed: 0, failed: 0, setup: 1 },
    });
  });

  test("are printed with what failed, and without checks", () => {
    expect(report({ tests, outcomes, verdicts })).toBe(
      [
        "required   1 passed,   1 failed",
        "optimal    0 passed,   1 failed",
        "check      0 passed,   0 failed, 1 setup",
        "",
        "required, failed:",
        "  d  seen d",
        "",
        "optimal, failed:",
        "  b  seen b",
      ].join("\n"),
    );
  });
});

describe("tests by prefix", () => {
  const tests = [of("vary-a", { depends_on: ["age"] }), of("age", { depends_on: ["x"] }), of("x"), of("y")];
  const ids = (prefix?: string) => withDependencies(tests, prefix).map(({ id }) => id);

  test("bring along what they depend on, in the suite's order", () => {
    expect(ids("vary-")).toEqual(["vary-a", "age", "x"]);
    expect(ids("y")).toEqual(["y"]);
  });

  test("are all without one, and none with an unknown one", () => {
    expect(ids()).toEqual(["vary-a", "age", "x", "y"]);
    expect(ids("z")).toEqual([]);
  });
});
