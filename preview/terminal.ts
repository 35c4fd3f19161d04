/** A plan as text for a terminal. Pure. */
import { table } from "../lib/table.ts";
import { headline, orderOf, popCells, settingList } from "./markdown.ts";
import type { Plan, PopPlan } from "./plan.ts";

export type StyleText = (tone: "good" | "warning" | "bad" | "faint" | "head", text: string) => string;

/** Parts separated by empty lines: headline, errors and warnings, PoPs, settings, other resources, cost. */
export function planText(plan: Plan, paint: StyleText): string {
  const { stack, errors, refusals, cautions, warnings, notes } = plan;
  const messages = [
    ...errors.map((it) => `${paint("bad", "error:")} ${it}`),
    ...refusals.map((it) => `${paint("bad", "error:")} rejected by the policy ${it}`),
    ...cautions.map((it) => `${paint("bad", "caution:")} ${it}`),
    ...warnings.map((it) => `${paint("warning", "warning:")} ${it}`),
    ...notes.map((it) => `${paint("faint", "note:")} ${it}`),
  ];
  const parts = [paint("head", `${stack}: ${headline(plan)}`), messages.join("\n")];
  // A failed preview is incomplete.
  if (errors.length === 0) parts.push(popText(plan, paint), ...settingList(plan), otherText(plan, paint));
  if (plan.hasCost) parts.push(costText(plan));
  return parts.filter((it) => it !== "").join("\n\n");
}

function popText({ pops, unchanged, rollout }: Plan, paint: StyleText): string {
  const rows = pops.map((it) => {
    const [name, what, ...rest] = popCells(it, rollout.canary);
    return [name, paint(tones[it.action], what), ...rest];
  });
  return [
    ...(rows.length === 0 ? [] : [table([heads(paint, "PoP", "what", "volume", "why"), ...rows])]),
    orderOf(pops, rollout),
    unchanged.length === 0 ? "" : `Unchanged: ${unchanged.join(", ")}.`,
  ]
    .filter((it) => it !== "")
    .join("\n");
}

const tones = {
  new: "good",
  restarts: "warning",
  replaced: "bad",
  removed: "bad",
  "no-restart": "faint",
} as const satisfies Record<PopPlan["action"], Parameters<StyleText>[0]>;

function otherText({ others }: Plan, paint: StyleText): string {
  if (others.length === 0) return "";
  const rows = others.map((it) => [
    `${it.kind} ${it.name}`,
    it.op === "delete" || it.op === "replace" ? paint("bad", it.op) : it.op,
    it.why.join(", "),
  ]);
  return table([heads(paint, "resource", "what", "why"), ...rows]);
}

const heads = (paint: StyleText, ...names: string[]): string[] => names.map((it) => paint("head", it));

function costText({ before, after }: Plan): string {
  const [from, to] = [before.monthly.total, after.monthly.total];
  const cents = Math.round((to - from) * 100);
  if (cents === 0) return `Costs $${to.toFixed(2)} per month, as before.`;
  return `Costs $${to.toFixed(2)} per month instead of $${from.toFixed(2)}, ${cents > 0 ? "+" : "-"}$${(Math.abs(cents) / 100).toFixed(2)}.`;
}
