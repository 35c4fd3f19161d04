/** An assumption about real Fly, what was found out about it, and the probe that finds out. docs/fly-reality.md is written from the same data. */
import type { Session } from "./session.ts";

export interface Assumption {
  /** What this project takes for granted, as one sentence. */
  says: string;
  /** Files that would behave wrongly if it were not so. */
  restsOn: readonly string[];
  /** Where it comes from: a page, a client's source, an observation. Markdown. */
  source: string;
  /** What would show that it is wrong. */
  wrongIf: string;
  /** Test in which the code that rests on it meets the other case, `path: words of its name`. Absent: only preflight's own does. */
  playedBy?: string;
}

export type Verdict = "holds" | "does not hold" | "not measured";

export interface Finding {
  verdict: Verdict;
  /** What was seen, with figures and units; for "not measured" the reason. */
  seen: string;
  /** True when the measurement broke off on an error instead of being left out on purpose. */
  broken?: boolean;
}

export const resultOf = (holds: boolean, seen: string): Finding => ({
  verdict: holds ? "holds" : "does not hold",
  seen,
});

/** Left out on purpose, or impossible here. */
export const notMeasured = (why: string): Finding => ({ verdict: "not measured", seen: why });

/** The probe ended by an error before it came to this. */
export const failedFinding = (error: unknown): Finding => ({
  verdict: "not measured",
  seen: error instanceof Error ? error.message : String(error),
  broken: true,
});

export interface Probe<Id extends string = string> {
  /** What is measured, for the line of progress. */
  title: string;
  assumptions: Readonly<Record<Id, Assumption>>;
  /** Reports each finding as soon as it is known, so that an error later on does not lose it. */
  measure(session: Session, found: (id: Id, finding: Finding) => void): Promise<void>;
}

/** A probe whose ids are checked against its assumptions, in the form that lists of probes have. */
export const probe = <Id extends string>(of: Probe<Id>): Probe => of as Probe;
