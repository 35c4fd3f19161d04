/** The engine's steps, combined into one change for each resource. Pure. */
import { kindOf, type State, type Step } from "./digest.ts";

/** The change of one resource, with the steps of a replacement combined. */
export type Change = "same" | "create" | "update" | "replace" | "delete";

export interface ResourceChange {
  urn: string;
  kind: string;
  change: Change;
  old?: State;
  new?: State;
}

/** Groups steps by resource, in order of the first step. */
export function changesOf(steps: readonly Step[]): ResourceChange[] {
  const byUrn = Map.groupBy(steps, ({ urn }) => urn);
  return [...byUrn].map(([urn, all]) => {
    const old = all.find((it) => it.oldState)?.oldState ?? undefined;
    const new_ = all.findLast((it) => it.newState)?.newState ?? undefined;
    const type = new_?.type ?? old?.type ?? "";
    const change = changeOf(all.map(({ op }) => op));
    return { urn, kind: kindOf(type), change, ...(old && { old }), ...(new_ && { new: new_ }) };
  });
}

function changeOf(ops: readonly string[]): Change {
  if (ops.some((op) => op.includes("replace"))) return "replace";
  for (const change of ["create", "update", "delete"] as const) if (ops.includes(change)) return change;
  return "same";
}
