/** An assumption about real Fly, the finding about it, and the probe that measures it. docs/fly-reality.md is generated from the same data. */
import type { Session } from "./session.ts";

export interface Assumption {
  /** The assumption, as one sentence. */
  says: string;
  /** Files that would behave wrongly if it did not hold. */
  restsOn: readonly string[];
  /** Its source: a page, a client's code, an observation. Markdown. */
  source: string;
  /** What would disprove it. */
  wrongIf: string;
  /** Test in which the dependent code meets the opposite case, `path: words of its name`. Absent: only preflight's own tests do. */
  playedBy?: string;
}

export type Verdict = "holds" | "does not hold" | "not measured";

export interface Finding {
  verdict: Verdict;
  /** What was observed, with numbers and units; for "not measured" the reason. */
  seen: string;
  /** True: the measurement failed with an error, instead of being skipped on purpose. */
  broken?: boolean;
}

export const resultOf = (holds: boolean, seen: string): Finding => ({
  verdict: holds ? "holds" : "does not hold",
  seen,
});

/** Skipped on purpose, or impossible here. */
export const notMeasured = (why: string): Finding => ({ verdict: "not measured", seen: why });

/** The probe failed with an error before this measurement. */
export const failedFinding = (error: unknown): Finding => ({
  verdict: "not measured",
  seen: error instanceof Error ? error.message : String(error),
  broken: true,
});

export interface Probe<Id extends string = string> {
  /** What is measured, for progress output. */
  title: string;
  assumptions: Readonly<Record<Id, Assumption>>;
  /** Reports each finding as soon as it is known, so that a later error does not lose it. */
  measure(session: Session, found: (id: Id, finding: Finding) => void): Promise<void>;
}

/** Checks a probe's ids against its assumptions, and widens its type for lists of probes. */
export const probe = <Id extends string>(of: Probe<Id>): Probe => of as Probe;
