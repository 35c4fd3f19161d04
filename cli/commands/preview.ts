/** `preview`: what `pulumi up` would do, as what happens to each PoP. Asks Fly nothing and changes nothing. */

import type { Stack } from "../stack.ts";
import { planOfStack, shownPlan } from "../stack-plan.ts";
import { type ExitCode, print, printJson, type World } from "../world.ts";

export async function preview(world: World, stack: Stack, { json }: { json?: boolean }): Promise<ExitCode> {
  const plan = await planOfStack(world, stack, { config: stack.config() });
  if (json) printJson(world, plan);
  else print(world, shownPlan(world, plan));
  return plan.errors.length > 0 ? 1 : 0;
}
