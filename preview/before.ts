/** What held before, where the resources' inputs do not say it: by the stack's state, or by another checkout. Pure. */
import type { Estimate, Traffic } from "../components/cost.ts";
import { kindOf, type Step } from "./digest.ts";

export interface Before {
  /** What the bill of what is deployed assumed. Absent: unknown. */
  traffic?: Traffic;
  /** What it was said to cost. Absent: unknown. */
  monthly?: Estimate["monthly"];
  /** Absent: unknown. null: there was none. */
  canary?: string | null;
}

/** By the engine's steps: `traffic` is in the stack's output `cost`; machines depend on the canary's, and on no other one. */
export function beforeOf(steps: readonly Step[]): Before {
  const stack = steps.find(({ oldState }) => oldState?.type === "pulumi:pulumi:Stack")?.oldState;
  const { traffic, monthly } = (stack?.outputs.cost ?? {}) as Pick<Before, "traffic" | "monthly">;
  const machines = steps.flatMap(({ urn, oldState }) =>
    oldState && kindOf(oldState.type) === "Machine" ? [{ urn, ...oldState }] : [],
  );
  const canary = machines.find(({ urn }) => machines.some(({ dependencies }) => dependencies?.includes(urn)));
  return {
    ...(traffic && { traffic }),
    ...(monthly && { monthly }),
    ...(machines.length > 1 && { canary: canary ? String(canary.inputs.pop) : null }),
  };
}
