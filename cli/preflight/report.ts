/** The report of a run, as JSON and Markdown. Pure. */

import { redact } from "../../lib/redact.ts";
import manifest from "../../package.json" with { type: "json" };
import type { Assumption, Finding, Verdict } from "./assumption.ts";
import { everyProbe, plan as wholePlan } from "./plan.ts";
import type { Outcome } from "./run.ts";
import { seconds } from "./text.ts";

export interface Report {
  schemaVersion: 1;
  tool: string;
  /** RFC 3339. */
  began: string;
  tookSeconds: number;
  endpoint: string;
  region: string;
  image: string;
  calls: number;
  counts: Record<Verdict, number>;
  /** Why the run was aborted. Absent: it was not. */
  brokenOff?: string;
  /** What could not be removed. Absent: nothing is left. */
  left?: string;
  findings: ReportRow[];
}

export interface ReportRow extends Finding {
  /** As in docs/fly-reality.md. */
  id: string;
  expected: string;
}

export interface About {
  endpoint: string;
  region: string;
  image: string;
  /** Texts to redact: the token, the organization, names of persons. */
  secrets: readonly string[];
}

export function reportOf(outcome: Outcome, { secrets, ...about }: About, plan = wholePlan): Report {
  const assumptions: Record<string, Assumption> = Object.assign({}, ...everyProbe(plan).map((it) => it.assumptions));
  const rows = Object.entries(outcome.findings).map(([id, finding]): ReportRow => {
    const { says = "" } = assumptions[id] ?? {};
    return { id, expected: says, ...finding, seen: scrub(finding.seen, secrets) };
  });
  const count = (verdict: Verdict) => rows.filter((it) => it.verdict === verdict).length;
  return {
    schemaVersion: 1,
    tool: `fly-pops ${manifest.version}`,
    began: new Date(outcome.began).toISOString(),
    tookSeconds: Math.round(outcome.tookMs / 1000),
    ...about,
    calls: outcome.calls,
    counts: {
      holds: count("holds"),
      "does not hold": count("does not hold"),
      "not measured": count("not measured"),
    },
    ...(outcome.brokenOff === undefined ? {} : { brokenOff: scrub(outcome.brokenOff, secrets) }),
    ...(outcome.left === undefined ? {} : { left: scrub(outcome.left, secrets) }),
    findings: rows,
  };
}

/** Removes credentials, addresses and names of token owners, because a report is meant to be shared. */
function scrub(text: string, secrets: readonly string[]): string {
  return redact(text, secrets)
    .replace(/[0-9a-f-]{36}@tokens\.fly\.io/g, "(owner)@tokens.fly.io")
    .replace(/[\w.+-]+@(?!tokens\.fly\.io)[\w-]+\.[\w.-]+/g, "(address)");
}

export function markdown(report: Report): string {
  const { counts } = report;
  const facts = [
    ["Written by", report.tool],
    ["Began", report.began],
    ["Took", seconds(report.tookSeconds * 1000)],
    ["Endpoint", report.endpoint],
    ["Region", report.region],
    ["Image", report.image],
    ["Calls", String(report.calls)],
  ];
  return [
    "# Preflight: what this project assumes about Fly, measured\n",
    `${counts.holds} hold, ${counts["does not hold"]} do not, ${counts["not measured"]} could not be measured.`,
    ...(report.brokenOff === undefined ? [] : [`\nThe run was broken off: ${report.brokenOff}.`]),
    report.left === undefined ? "\nNothing was left on Fly.\n" : `\n**Left on Fly**: ${report.left}\n`,
    tableOf(["", ""], facts),
    ...(["does not hold", "not measured", "holds"] as const).flatMap((verdict) =>
      section(
        verdict,
        report.findings.filter((it) => it.verdict === verdict),
      ),
    ),
    "\ndocs/fly-reality.md lists each id with the assumption's source and the test that plays the other case.\n",
  ].join("\n");
}

const titles: Record<Verdict, string> = {
  "does not hold": "Does not hold",
  "not measured": "Not measured",
  holds: "Holds",
};

function section(verdict: Verdict, rows: readonly ReportRow[]): string[] {
  if (rows.length === 0) return [];
  const cells = rows.map(({ id, expected, seen }) => [`\`${id}\``, expected, seen]);
  return [`\n## ${titles[verdict]}\n`, tableOf(["id", "expected", verdict === "not measured" ? "why" : "seen"], cells)];
}

const tableOf = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => "---"), ...rows].map((row) => `| ${row.map(cell).join(" | ")} |`).join("\n");

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll(/\s+/g, " ");
