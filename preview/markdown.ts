/** A plan as Markdown for a comment on a pull request, also readable in a terminal. Pure. */
import { costKinds } from "../components/cost.ts";
import type { FileChange } from "./files.ts";
import { lossSummary } from "./lost.ts";
import type { Action, Plan, PopPlan } from "./plan.ts";

/** The first line of our comment about a stack, by which the next run finds and replaces it. */
const marker = (stack: string): string => `<!-- fly-pops preview ${stack} -->`;

/** GitHub's limit for a comment, minus some for the surrounding text. */
const maxCharacters = 64_000;
/** Limit of the files' diff. The commit has the rest. */
const maxDiffCharacters = 20_000;

export function markdown(plan: Plan): string {
  const failed = plan.errors.length > 0;
  const above = [
    marker(plan.stack),
    `## \`${plan.stack}\`: ${headline(plan)}`,
    ...alert("CAUTION", plan.errors),
    ...alert(
      "CAUTION",
      plan.refusals.map((it) => `Rejected by the policy ${it}`),
    ),
    ...alert("CAUTION", plan.cautions),
    ...alert("WARNING", plan.warnings),
    ...alert("NOTE", [...(failed && plan.hasCost ? [partial] : []), ...plan.notes]),
    ...popTable(plan),
    ...settingList(plan),
    ...otherTable(plan),
  ].join("\n\n");
  const below = plan.hasCost ? [costTable(plan)] : [];
  const room = Math.min(maxDiffCharacters, maxCharacters - above.length - below.join("").length);
  return `${[above, ...filesDiff(plan.files ?? [], room), ...below].join("\n\n")}\n`;
}

const partial =
  "This is what the preview found before it failed, and the cost of the stack file. There may be more changes.";

/** Printed instead of a plan if the preview could not run. */
export const previewFailed = (stack: string, reason: string): string =>
  `${[marker(stack), `## \`${stack}\`: the preview could not run`, ...alert("CAUTION", [reason])].join("\n\n")}\n`;

const verbs: Record<Action, [one: string, many: string]> = {
  new: ["is new", "are new"],
  restarts: ["restarts", "restart"],
  replaced: ["is replaced", "are replaced"],
  removed: ["is removed", "are removed"],
  "no-restart": ["changes without restart", "change without restart"],
};

/** `1 PoP restarts, 2 PoPs are new`. */
export function headline({ pops, others, settings, errors, refusals, lost }: Plan): string {
  if (errors.length > 0) return "the preview fails";
  if (refusals.length > 0) return "rejected by policies";
  const parts = (Object.keys(verbs) as Action[]).flatMap((action) => {
    const count = pops.filter((it) => it.action === action).length;
    if (count === 0) return [];
    return [count === 1 ? `1 PoP ${verbs[action][0]}` : `${count} PoPs ${verbs[action][1]}`];
  });
  const all = [...lossSummary(lost), ...parts];
  if (all.length > 0) return all.join(", ");
  return others.length + settings.length === 0 ? "nothing changes" : "no PoP changes";
}

function popTable({ pops, unchanged, rollout }: Plan): string[] {
  const rest =
    unchanged.length === 0
      ? []
      : [`Unchanged: ${unchanged.length <= 20 ? unchanged.join(", ") : `${unchanged.length} PoPs`}.`];
  if (pops.length === 0) return rest;
  const rows = pops.map((it) => popCells(it, rollout.canary));
  return [table(["PoP", "what", "volume", "why"], rows), orderOf(pops, rollout), ...rest].filter((it) => it !== "");
}

/** Cells of a PoP's row: name, change, volume, reasons. */
export const popCells = (
  { name, action, volume, why }: PopPlan,
  canary: string | undefined,
): [name: string, what: string, volume: string, why: string] => [
  name + (name === canary ? " (canary)" : ""),
  action === "no-restart" ? `no restart${volume === undefined ? " (state only)" : ""}` : verbs[action][0],
  volume ?? "kept",
  why.join(", ") || (action === "new" ? "new in the stack file" : "no longer in the stack file"),
];

/** Describes the order, the number of PoPs at once, and what happens if one fails. */
export function orderOf(
  pops: readonly PopPlan[],
  { canary, maxUnavailable, drainSeconds, timeoutSeconds }: Plan["rollout"],
): string {
  const taken = pops.filter(({ action }) => action === "restarts");
  if (taken.length === 0) return "";
  const first = taken.some(({ name }) => name === canary) ? `${canary} first and alone, then ` : "";
  const width =
    maxUnavailable === 1
      ? "one PoP after the other, in any order"
      : `at most ${maxUnavailable} PoPs at once, in any order`;
  const drain = drainSeconds === 0 ? "" : `is drained for ${drainSeconds} s, `;
  return `Order: ${first}${width}. Each ${drain}restarts with its volume and has ${timeoutSeconds} s to pass its checks. If it fails, its old version is restored and no more PoPs are changed.`;
}

export const settingList = ({ settings }: Plan): string[] =>
  settings.length === 0 ? [] : [`Settings that change without restart: ${settings.join("; ")}.`];

/** As much of the diff as fits. */
function filesDiff(files: readonly FileChange[], room: number): string[] {
  if (files.length === 0) return [];
  const count = ({ path, added, removed }: FileChange) => `\`${path}\` (+${added} -${removed})`;
  const summary = `<details><summary>Changed files of the image: ${files.map(({ path }) => path).join(", ")}</summary>`;
  let left = room - summary.length - files.length * 200;
  const blocks = files.map((file) => {
    const shown = linesWithin(file.patch, left);
    left -= shown.length;
    // Longer than any fence in the file.
    const fence = "`".repeat(Math.max(3, ...(file.patch.match(/`+/g) ?? []).map((it) => it.length + 1)));
    const rest = file.patch.split("\n").length - shown.split("\n").length;
    const more = shown === "" ? "Too long to show." : rest > 0 ? `${rest} more lines.` : "";
    return [count(file), ...(shown === "" ? [] : [`${fence}diff\n${shown}\n${fence}`]), more]
      .filter(Boolean)
      .join("\n\n");
  });
  return [[summary, ...blocks, "</details>"].join("\n\n")];
}

/** The first lines of a text that fit, or all of it. */
function linesWithin(text: string, most: number): string {
  if (text.length <= most) return text;
  const cut = text.lastIndexOf("\n", Math.max(0, most));
  return cut <= 0 ? "" : text.slice(0, cut);
}

function otherTable({ others }: Plan): string[] {
  if (others.length === 0) return [];
  return [
    table(
      ["resource", "what", "why"],
      others.map((it) => [`${it.kind} ${it.name}`, it.op, it.why.join(", ")]),
    ),
  ];
}

function costTable({ before, after }: Plan): string {
  const money = (amount: number) => `$${amount.toFixed(2)}`;
  const change = (from: number, to: number) => {
    const cents = Math.round((to - from) * 100);
    return cents === 0 ? "" : `${cents > 0 ? "+" : "-"}${money(Math.abs(cents) / 100)}`;
  };
  const row = (name: string, from: number, to: number) => [name, money(from), money(to), change(from, to)];
  const rows = costKinds.map((kind) => row(kind, before.monthly[kind], after.monthly[kind]));
  const total = row("**total**", before.monthly.total, after.monthly.total);
  return [
    table(["per month", "before", "after", ""], [...rows, total]),
    `<details><summary>By machine, volume and address, with assumptions</summary>`,
    table(
      ["", "what", "per month"],
      after.rows
        .filter(({ kind }) => kind !== "egress")
        .map((it) => [`${it.kind} ${it.name}`, it.what, money(it.monthly)]),
    ),
    after.assumptions.map((it) => `- ${it}`).join("\n"),
    "</details>",
  ].join("\n\n");
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map(cell).join(" | ")} |`;
  return [line(head), `|${" --- |".repeat(head.length)}`, ...rows.map(line)].join("\n");
}

/** Escapes text so that it stays within its cell. */
const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll(/\s+/g, " ");

/** One block for all texts of a kind, as a list if there are several. */
function alert(kind: "CAUTION" | "WARNING" | "NOTE", texts: readonly string[]): string[] {
  if (texts.length === 0) return [];
  const items = texts.flatMap((text) => (texts.length === 1 ? text : `- ${text.replaceAll("\n", "\n  ")}`).split("\n"));
  return [[`[!${kind}]`, ...items].map((it) => `> ${it}`).join("\n")];
}
