/** What a deployment would do to a stack, for commands: a plan of preview/ made by Pulumi's engine. */
import { estimate } from "../components/cost.ts";
import type { EdgeConfig } from "../config/types.ts";
import { allSites, namesOf } from "../image/render/hosts.ts";
import { previewByEngine } from "../preview/engine-preview.ts";
import { withoutImageSteps } from "../preview/fallback-image.ts";
import { type Plan, planOf } from "../preview/plan.ts";
import { planText } from "../preview/terminal.ts";
import { noBackendPattern, pulumiErrorText } from "../stack/pulumi-cli.ts";
import { type CliContext, CliError } from "./context.ts";
import type { Stack } from "./stack.ts";
import { styled } from "./style.ts";

export interface PlanSource {
  config: EdgeConfig;
  /** Path of a file to use instead of the stack's own. */
  file?: string;
}

export async function planStack(context: CliContext, stack: Stack, { config, file }: PlanSource): Promise<Plan> {
  const place = { dir: context.dir, stack: stack.reference, env: stack.env, ...(file !== undefined && { file }) };
  try {
    const { digest, notes } = await previewByEngine(place, config);
    // With `imageRef` no image is built, and removing the last build from the state is not a step of the deployment.
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
      now: context.clock.now(),
    });
  } catch (error) {
    const { message } = error as Error;
    if (/no stack named/.test(message))
      throw new CliError(
        `There is no stack ${stack.name} in the backend that this terminal uses. Create it: npx pulumi stack init ${stack.name}`,
        { cause: error },
      );
    const reason = noBackendPattern.test(message) ? pulumiErrorText(message) : message.replace(/\.$/, "");
    throw new CliError(`${stack.name} could not be previewed: ${reason}. Nothing was changed.`, { cause: error });
  }
}

/** Whether a deployment would change neither Fly nor the state. */
export const isEmpty = ({ pops, settings, others }: Plan): boolean =>
  pops.length === 0 && settings.length === 0 && others.length === 0;

export const renderPlan = (context: CliContext, plan: Plan): string =>
  planText(plan, (tone, text) => styled(context, tone, text));
