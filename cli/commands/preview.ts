/** `preview`: what `pulumi up` would do to each PoP. Makes no calls to Fly and changes nothing. */

import { type CliContext, type ExitCode, print, printJson } from "../context.ts";
import type { Stack } from "../stack.ts";
import { planStack, renderPlan } from "../stack-plan.ts";

export async function preview(context: CliContext, stack: Stack, { json }: { json?: boolean }): Promise<ExitCode> {
  const plan = await planStack(context, stack, { config: stack.config() });
  if (json) printJson(context, plan);
  else print(context, renderPlan(context, plan));
  return plan.errors.length > 0 ? 1 : 0;
}
