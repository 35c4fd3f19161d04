/** What a deployment would do to a stack: the plan of preview/, by the engine, for commands. */
import { estimate } from "../components/cost.ts";
import type { EdgeConfig } from "../config/types.ts";
import { allSites, namesOf } from "../image/render/hosts.ts";
import { withoutImageSteps } from "../preview/assumed-image.ts";
import { previewByEngine } from "../preview/by-engine.ts";
import { type Plan, planOf } from "../preview/plan.ts";
import { planText } from "../preview/terminal.ts";
import { noBackend, reasonOf } from "./pulumi.ts";
import type { Stack } from "./stack.ts";
import { tint } from "./style.ts";
import { Refusal, type World } from "./world.ts";

export interface PlanSource {
  config: EdgeConfig;
  /** Path of a file that stands for the stack's own. */
  file?: string;
}

export async function planOfStack(world: World, stack: Stack, { config, file }: PlanSource): Promise<Plan> {
  const place = { dir: world.dir, stack: stack.reference, env: stack.env, ...(file !== undefined && { file }) };
  try {
    const { digest, notes } = await previewByEngine(place, config);
    // An image that is given is made by nobody: that the state forgets how the last one was built is no step of a deployment.
    const steps = config.imageRef === undefined ? digest.steps : withoutImageSteps(digest.steps);
    const wanted = estimate(config);
    const hosts = allSites(config.image).flatMap(namesOf);
    return planOf({
      stack: stack.name,
      digest: { ...digest, steps },
      config,
      wanted,
      hosts,
      notes,
      now: world.clock.now(),
    });
  } catch (error) {
    const { message } = error as Error;
    if (/no stack named/.test(message))
      throw new Refusal(
        `There is no stack ${stack.name} where this terminal looks for its state. Make it: npx pulumi stack init ${stack.name}`,
        { cause: error },
      );
    const reason = noBackend.test(message) ? reasonOf(message) : message.replace(/\.$/, "");
    throw new Refusal(`${stack.name} was not previewed: ${reason}. Nothing was changed.`, { cause: error });
  }
}

/** True when a deployment would neither call Fly nor change what the state says of it. */
export const isEmpty = ({ pops, settings, others }: Plan): boolean =>
  pops.length === 0 && settings.length === 0 && others.length === 0;

export const shownPlan = (world: World, plan: Plan): string => planText(plan, (tone, text) => tint(world, tone, text));
