/** The result of a deployment as Markdown for the run's summary. Pure. */
import { redact } from "../lib/redact.ts";

export interface DeployResult {
  stack: string;
  /** Whether the command succeeded. */
  isDone: boolean;
  /** Number of the release that was rolled back to. Absent: the branch was deployed. */
  release?: string;
  /** Outputs of the stack. Absent: they could not be read. */
  outputs?: { addresses?: Record<string, string>; image?: string; pops?: Record<string, unknown>; cost?: Cost };
  /** Output of the command. */
  log: string;
}

interface Cost {
  monthly?: { total?: number };
  currency?: string;
}

/** Number of lines shown from the end of a failed command's output. */
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

/** A fence of tildes, because the log may contain backquotes. */
const quoted = (log: string): string =>
  `~~~~~~~~\n${withoutPass(redact(log.trimEnd().split("\n").slice(-lines).join("\n"))).replaceAll("~~~~~~~~", "~ ~")}\n~~~~~~~~`;

/** Pulumi marks a policy pack without violations as passed, even if the run failed before the pack had checked everything. */
const withoutPass = (log: string): string =>
  log.replace(/^(\s*)✅ (.+)$/gm, "$1$2: incomplete, because the run failed");
