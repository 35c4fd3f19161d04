/** Facts about the stack before the change that the resources' inputs do not contain, from the state or another checkout. Pure. */
import type { Estimate, Traffic } from "../components/cost.ts";
import { kindOf, type Step } from "./digest.ts";

export interface Before {
  /** Traffic assumed by the deployed stack's cost estimate. Absent: unknown. */
  traffic?: Traffic;
  /** Its estimated cost. Absent: unknown. */
  monthly?: Estimate["monthly"];
  /** The former canary. null: none. Absent: unknown. */
  canary?: string | null;
}

/** From the engine's steps: `traffic` is in the stack's output `cost`, and the canary's machine is the only one that others depend on. */
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
