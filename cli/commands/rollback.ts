/**
 * `rollback`: an older release once more, through Pulumi: a plan, a question, and an update that verifies as every other does. What is deployed
 * is the configuration of that release with the image that ran then, so nothing is built. Nothing is touched before the plan says that all of it can be done.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ownConfigValues } from "../../config/stack-values.ts";
import type { Plan } from "../../preview/plan.ts";
import { readHistory, releaseNumbered } from "../history.ts";
import { runPulumi } from "../pulumi.ts";
import { filesOfToday, imageOf, losses, releaseBefore, rollbackMessage, wantedOf } from "../rollback.ts";
import type { Stack } from "../stack.ts";
import { edgeConfig, projectDefaults, stackFileName } from "../stack-file.ts";
import { withConfig } from "../stack-file-edit.ts";
import { isEmpty, planOfStack, shownPlan } from "../stack-plan.ts";
import { confirmed, type ExitCode, note, Refusal, unaskable, type World } from "../world.ts";

export interface RollbackOptions {
  yes?: boolean;
  /** Only the image of that release: regions, sizes and rollout stay as the stack file has them. */
  imageOnly?: boolean;
  /** PoPs and addresses that release did not have may go. */
  withRemovals?: boolean;
  /** Writes what was deployed into the stack file. */
  write?: boolean;
}

/** `number`: undefined for the release before the one that is deployed. */
export async function rollback(
  world: World,
  stack: Stack,
  number: number | undefined,
  { yes, imageOnly = false, withRemovals = false, write = false }: RollbackOptions,
): Promise<ExitCode> {
  const history = await readHistory(world, stack);
  const recorded = number === undefined ? releaseBefore(history, stack.name) : releaseNumbered(history, stack, number);
  const { release } = recorded;
  const image = imageOf(release);
  const { deployed, written, otherImage } = wantedOf({
    release: recorded,
    image,
    running: history.running,
    current: ownConfigValues(stack.values),
    defaults: projectDefaults(world.dir),
    imageOnly,
  });
  // All mistakes come out before Pulumi is asked: the rules of today may refuse what those of then let pass.
  const config = edgeConfig(stack.name, deployed);
  const question = `Roll ${stack.name} back to release ${release.number} of ${release.startedAt} (image ${image})?`;
  if (!yes && !world.ask) throw unaskable(question);

  const file = stackFileName(stack.name);
  const own = readFileSync(join(world.dir, file), "utf8");
  const folder = join(world.dir, ".cache", "rollback");
  const temporary = join(folder, file);
  mkdirSync(folder, { recursive: true });
  writeFileSync(temporary, withConfig(own, deployed));
  const save = () => {
    if (write) writeFileSync(join(world.dir, file), withConfig(own, written));
  };
  try {
    const plan = await planOfStack(world, stack, { config, file: temporary });
    if (plan.errors.length === 0 && isEmpty(plan)) {
      save();
      note(
        world,
        `Release ${release.number}${imageOnly ? "'s image" : ""} is what runs: nothing differs, and nothing was changed on Fly.${write ? ` ${file} says so. Commit it.` : ""}`,
      );
      return 0;
    }
    if (plan.errors.length === 0) note(world, shownPlan(world, plan));
    const reason = refusal(plan, release.number, { imageOnly, withRemovals, otherImage });
    if (reason !== undefined)
      throw new Refusal(
        `${stack.name} was not rolled back to release ${release.number}, and nothing was changed. ${reason}`,
      );
    for (const sentence of filesOfToday(config, release.number)) note(world, sentence);
    if (!(await confirmed(world, question, yes))) {
      note(world, "Nothing was changed.");
      return 0;
    }
    await deploy(world, stack, ["--config-file", temporary, "--message", rollbackMessage(release)]);
  } finally {
    rmSync(temporary, { force: true });
  }
  save();
  const toStay = otherImage
    ? ` To stay here, run this again with --write; for its image alone, set fly-pops:imageRef: ${image}`
    : " To stay here, run this again with --write.";
  note(
    world,
    write
      ? `Release ${release.number} runs, and ${file} says so. Commit it.`
      : `Release ${release.number} runs. ${file} was not changed: the next pulumi up deploys what it says.${toStay}`,
  );
  return 0;
}

/** Why the plan is not carried out, with the ways on; undefined when it may be. */
function refusal(
  plan: Plan,
  number: number,
  { imageOnly, withRemovals, otherImage }: { imageOnly: boolean; withRemovals: boolean; otherImage: boolean },
): string | undefined {
  const again = `npx fly-pops rollback ${number}`;
  const alone =
    imageOnly || !otherImage ? [] : [`For its image alone, with all PoPs as they are: ${again} --image-only`];
  if (plan.errors.length > 0) return [...plan.errors, ...alone].join("\n");
  const lost = losses(plan);
  if (lost.length === 0 || withRemovals) return undefined;
  return [`It would ${lost.join(", ")}.`, ...alone, `For all of it: ${again} --with-removals`].join("\n");
}

/** The plan was shown: the CLI tells what it does, and in its own last words what went wrong. */
async function deploy(world: World, stack: Stack, args: string[]): Promise<void> {
  const up = ["up", "--yes", "--skip-preview", "--suppress-outputs", "--stack", stack.reference, ...args];
  const { code } = await runPulumi(world, up, { env: stack.env, shown: true });
  if (code !== 0)
    throw new Refusal(
      `${stack.name} was not rolled back: pulumi up ended with code ${code}, its reasons stand above. How the PoPs are: npx fly-pops status`,
    );
}
