/** How the suite's own pages judge what its client found (lib/display.mjs of the suite). */

/** As the suite defines it; fields that nothing here reads are left out. */
export interface SuiteTest {
  id: string;
  /** What it asks, in a sentence. */
  name: string;
  /** Absent: required. */
  kind?: Kind;
  depends_on?: string[];
}

/** Required by RFC 9111; allowed by it and worth having; or neither, only asked to learn what caches do. */
export const kinds = ["required", "optimal", "check"] as const;
export type Kind = (typeof kinds)[number];

export const kindOf = ({ kind }: SuiteTest): Kind => kind ?? "required";

/** What the client found, by the test's id: true, or the name of an error and its message. */
export type Outcomes = Record<string, true | [name: string, message: string]>;

/**
 * - passed, failed: the two that count
 * - dependency: a test it depends on has not passed, so that it says nothing
 * - setup: what the test needs to begin with did not come about
 * - retry: the origin was asked twice for one request
 * - untested: not for this kind of cache
 */
export type Verdict = "passed" | "failed" | "dependency" | "setup" | "retry" | "untested";

/** The verdict on each test. Throws when one depends on a test that does not exist. */
export function verdictsOf(tests: readonly SuiteTest[], outcomes: Outcomes): Map<string, Verdict> {
  const byId = new Map(tests.map((test) => [test.id, test]));
  const verdicts = new Map<string, Verdict>();
  const verdictOn = (id: string): Verdict => {
    const test = byId.get(id);
    if (test === undefined)
      throw new Error(`test ${id}: another one depends on it, but the suite has none of that id.`);
    const known = verdicts.get(id);
    if (known !== undefined) return known;
    const verdict = found(test);
    verdicts.set(id, verdict);
    return verdict;
  };
  const found = ({ id, depends_on = [] }: SuiteTest): Verdict => {
    const outcome = outcomes[id];
    if (outcome === undefined) return "untested";
    if (depends_on.some((other) => verdictOn(other) !== "passed")) return "dependency";
    if (outcome === true) return "passed";
    const [name, message] = outcome;
    if (name === "Setup") return message === "retry" ? "retry" : "setup";
    return "failed";
  };
  return new Map(tests.map(({ id }) => [id, verdictOn(id)]));
}

export type Counts = Record<Kind, Record<Verdict, number>>;

export function count(tests: readonly SuiteTest[], verdicts: ReadonlyMap<string, Verdict>): Counts {
  const none = (): Record<Verdict, number> => ({
    passed: 0,
    failed: 0,
    dependency: 0,
    setup: 0,
    retry: 0,
    untested: 0,
  });
  const counts: Counts = { required: none(), optimal: none(), check: none() };
  for (const test of tests) counts[kindOf(test)][verdicts.get(test.id) ?? "untested"]++;
  return counts;
}

/** Those whose ids begin with a prefix, and all they depend on. Without a prefix: all. */
export function withDependencies(tests: readonly SuiteTest[], prefix = ""): SuiteTest[] {
  const byId = new Map(tests.map((test) => [test.id, test]));
  const chosen = new Set<SuiteTest>();
  const choose = (test: SuiteTest | undefined): void => {
    if (test === undefined || chosen.has(test)) return;
    chosen.add(test);
    for (const id of test.depends_on ?? []) choose(byId.get(id));
  };
  for (const test of tests) if (test.id.startsWith(prefix)) choose(test);
  return tests.filter((test) => chosen.has(test));
}
