/** A plan as Markdown: the comment of a pull request, readable in a terminal as well. Pure. */
import { costKinds } from "../components/cost.ts";
import type { Action, Plan, PopPlan } from "./plan.ts";

/** The first line of every comment of ours about a stack: by it the next run finds and replaces it. */
export const marker = (stack: string): string => `<!-- fly-pops preview ${stack} -->`;

export function markdown(plan: Plan): string {
  return `${[
    marker(plan.stack),
    `## \`${plan.stack}\`: ${headline(plan)}`,
    ...alert("CAUTION", plan.errors),
    ...alert("WARNING", plan.warnings),
    ...alert("NOTE", plan.notes),
    ...(plan.errors.length > 0 ? [] : [...popTable(plan), ...otherTable(plan), costTable(plan)]),
  ].join("\n\n")}\n`;
}

export const verbs: Record<Action, [one: string, many: string]> = {
  new: ["is new", "are new"],
  restarts: ["restarts", "restart"],
  replaced: ["is replaced", "are replaced"],
  removed: ["goes", "go"],
  adjusted: ["runs on, adjusted", "run on, adjusted"],
};

/** `1 PoP restarts, 2 PoPs are new`. */
export function headline({ pops, others, errors }: Plan): string {
  if (errors.length > 0) return "the preview fails";
  const parts = (Object.keys(verbs) as Action[]).flatMap((action) => {
    const count = pops.filter((it) => it.action === action).length;
    if (count === 0) return [];
    return [count === 1 ? `1 PoP ${verbs[action][0]}` : `${count} PoPs ${verbs[action][1]}`];
  });
  if (parts.length > 0) return parts.join(", ");
  return others.length === 0 ? "nothing changes" : "no PoP changes";
}

function popTable({ pops, unchanged, rollout }: Plan): string[] {
  const rest =
    unchanged.length === 0
      ? []
      : [`Not touched: ${unchanged.length <= 20 ? unchanged.join(", ") : `${unchanged.length} PoPs`}.`];
  if (pops.length === 0) return rest;
  const rows = pops.map((it, index) => [
    String(index + 1),
    it.name + (it.name === rollout.canary ? " (canary)" : ""),
    verbs[it.action][0],
    it.volume ?? "kept",
    it.why.join(", ") || (it.action === "new" ? "new in the stack file" : "no longer in the stack file"),
  ]);
  return [table(["", "PoP", "what", "volume", "why"], rows), orderOf(pops, rollout), ...rest].filter((it) => it !== "");
}

/** In which order, how many at once, and what happens when one does not come up. */
export function orderOf(
  pops: readonly PopPlan[],
  { canary, maxUnavailable, drainSeconds, timeoutSeconds }: Plan["rollout"],
): string {
  const taken = pops.filter(({ action }) => action === "restarts");
  if (taken.length === 0) return "";
  const first = taken.some(({ name }) => name === canary) ? `${canary} first and alone, then ` : "";
  const width = maxUnavailable === 1 ? "one PoP after the other" : `at most ${maxUnavailable} PoPs at once`;
  const drain = drainSeconds === 0 ? "" : `is drained for ${drainSeconds} s, `;
  return `Order: ${first}${width}. Each ${drain}restarts with its volume and has ${timeoutSeconds} s to pass its checks; else its old version is put back and no further PoP is touched.`;
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
    table(["a month", "before", "after", ""], [...rows, total]),
    `<details><summary>By machine, volume and address; what is assumed</summary>`,
    table(
      ["", "what", "a month"],
      after.rows.filter(({ kind }) => kind !== "egress").map((it) => [it.name, it.what, money(it.monthly)]),
    ),
    after.assumptions.map((it) => `- ${it}`).join("\n"),
    "</details>",
  ].join("\n\n");
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map(cell).join(" | ")} |`;
  return [line(head), `|${" --- |".repeat(head.length)}`, ...rows.map(line)].join("\n");
}

/** Text from elsewhere stays within its cell. */
const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll(/\s+/g, " ");

/** One block for all of a kind, however many: a list where there are several. */
function alert(kind: "CAUTION" | "WARNING" | "NOTE", texts: readonly string[]): string[] {
  if (texts.length === 0) return [];
  const items = texts.flatMap((text) => (texts.length === 1 ? text : `- ${text.replaceAll("\n", "\n  ")}`).split("\n"));
  return [[`[!${kind}]`, ...items].map((it) => `> ${it}`).join("\n")];
}
