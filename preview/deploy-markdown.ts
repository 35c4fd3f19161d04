/** A deployment that ended, as Markdown for the run's summary. Pure. */
import { redact } from "../providers/redact.ts";

export interface DeployResult {
  stack: string;
  /** Whether the command ended well. */
  isDone: boolean;
  /** Number of the release that was deployed once more. Absent: what the branch has was. */
  release?: string;
  /** Outputs of the stack. Absent: they could not be read. */
  outputs?: { addresses?: Record<string, string>; image?: string; pops?: Record<string, unknown>; cost?: Cost };
  /** What the command said. */
  log: string;
}

interface Cost {
  monthly?: { total?: number };
  currency?: string;
}

/** Lines of the end of a log that a reader gets of what failed. */
const lines = 60;

export function deployMarkdown({ stack, isDone, release, outputs, log }: DeployResult): string {
  const did = release ? `rolled back to release ${release}` : "deployed";
  return `${[
    `## \`${stack}\`: ${isDone ? did : `not ${did}`}`,
    ...(outputs ? [facts(outputs)] : ["Could not read the stack's outputs."]),
    ...(isDone ? [] : ["Check the PoPs: `npx fly-pops status`. The end of the command's output:", quoted(log)]),
  ].join("\n\n")}\n`;
}

function facts({ addresses = {}, image, pops = {}, cost }: NonNullable<DeployResult["outputs"]>): string {
  const total = cost?.monthly?.total;
  const rows = [
    ["PoPs", Object.keys(pops).join(", ")],
    ["Addresses", Object.values(addresses).join(", ")],
    ["Image", image ?? ""],
    ["Per month", total === undefined ? "" : `${total.toFixed(2)} ${cost?.currency ?? ""}`],
  ].filter(([, value]) => value !== "");
  return ["| | |", "| --- | --- |", ...rows.map(([name, value]) => `| ${name} | ${value} |`)].join("\n");
}

/** Tildes: what is quoted may hold backquotes. */
const quoted = (log: string): string =>
  `~~~~~~~~\n${withoutPass(redact(log.trimEnd().split("\n").slice(-lines).join("\n"))).replaceAll("~~~~~~~~", "~ ~")}\n~~~~~~~~`;

/** Pulumi marks a policy pack that found nothing as passed, also where the run failed before the pack had seen all of it. */
const withoutPass = (log: string): string =>
  log.replace(/^(\s*)✅ (.+)$/gm, "$1$2: incomplete, because the run failed");
