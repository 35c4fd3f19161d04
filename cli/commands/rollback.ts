/**
 * `rollback`: deploys an older release again through Pulumi: a plan, a confirmation, and a normal update. It deploys the configuration of that release with
 * the image that ran then, so nothing is built. Nothing is changed unless the plan shows that all of it is possible.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ownConfigValues } from "../../config/stack-values.ts";
import { stackFileName } from "../../lib/stack-file-path.ts";
import type { Plan } from "../../preview/plan.ts";
import { edgeConfigOf, projectDefaults } from "../../stack/stack-file.ts";
import { type CliContext, CliError, confirm, type ExitCode, needsConfirmation, note } from "../context.ts";
import { findRelease, readHistory } from "../history.ts";
import { runPulumi } from "../pulumi.ts";
import {
  currentFileNotes,
  losses,
  releaseBefore,
  rollbackConfig,
  rollbackImage,
  rollbackMessage,
} from "../rollback.ts";
import type { Stack } from "../stack.ts";
import { withConfig } from "../stack-file-edit.ts";
import { isEmpty, planStack, renderPlan } from "../stack-plan.ts";

export interface RollbackOptions {
  yes?: boolean;
  /** Only the image of that release: regions, sizes and rollout stay as the stack file has them. */
  imageOnly?: boolean;
  /** PoPs and addresses that the release did not have may be removed. */
  withRemovals?: boolean;
  /** Writes the deployed configuration into the stack file. */
  write?: boolean;
}

/** `number`: undefined for the release before the one that is deployed. */
export async function rollback(
  context: CliContext,
  stack: Stack,
  number: number | undefined,
  { yes, imageOnly = false, withRemovals = false, write = false }: RollbackOptions,
): Promise<ExitCode> {
  const { file } = stack;
  const own = stackFileName(stack.name);
  // A release of another file has none of the keys that only the own file has.
  if (write && file !== own)
    throw new CliError(
      `${own} is not the file that is deployed, ${file} is, so --write would replace what only ${own} has. Nothing was changed. Leave --write out.`,
    );
  const history = await readHistory(context, stack);
  const recorded = number === undefined ? releaseBefore(history, stack.name) : findRelease(history, stack, number);
  const { release } = recorded;
  const image = rollbackImage(release);
  const { deployed, written, otherImage } = rollbackConfig({
    release: recorded,
    image,
    running: history.running,
    current: ownConfigValues(stack.values),
    defaults: projectDefaults(context.dir),
    imageOnly,
  });
  // Validate before calling Pulumi: today's rules may reject a configuration that was valid then.
  const config = edgeConfigOf(file, deployed);
  const question = `Roll ${stack.name} back to release ${release.number} of ${release.startedAt} (image ${image})?`;
  if (!yes && !context.ask) throw needsConfirmation(question);

  const current = readFileSync(join(context.dir, file), "utf8");
  const tempDir = join(context.dir, ".cache", "rollback");
  const temporary = join(tempDir, own);
  mkdirSync(tempDir, { recursive: true });
  writeFileSync(temporary, withConfig(current, deployed));
  const save = () => {
    if (write) writeFileSync(join(context.dir, file), withConfig(current, written));
  };
  try {
    const plan = await planStack(context, stack, { config, file: temporary });
    if (plan.errors.length === 0 && isEmpty(plan)) {
      save();
      note(
        context,
        `Release ${release.number}${imageOnly ? "'s image" : ""} is already running, so nothing was changed on Fly.${write ? ` ${file} was updated. Commit it.` : ""}`,
      );
      return 0;
    }
    if (plan.errors.length === 0) note(context, renderPlan(context, plan));
    const reason = rejectionReason(plan, release.number, { imageOnly, withRemovals, otherImage });
    if (reason !== undefined)
      throw new CliError(
        `${stack.name} was not rolled back to release ${release.number}, and nothing was changed. ${reason}`,
      );
    for (const sentence of currentFileNotes(config, release.number)) note(context, sentence);
    if (!(await confirm(context, question, yes))) {
      note(context, "Nothing was changed.");
      return 0;
    }
    await deploy(context, stack, ["--config-file", temporary, "--message", rollbackMessage(release)]);
  } finally {
    rmSync(temporary, { force: true });
  }
  save();
  const keep =
    file === own ? "run this again with --write" : `copy its values (npx fly-pops releases ${release.number})`;
  const toStay = otherImage
    ? ` To keep this release, ${keep}; to keep only its image, set fly-pops:imageRef: ${image}`
    : ` To keep this release, ${keep}.`;
  note(
    context,
    write
      ? `Release ${release.number} is running, and ${file} was updated. Commit it.`
      : `Release ${release.number} is running. ${file} was not changed, so the next pulumi up deploys its current contents.${toStay}`,
  );
  return 0;
}

/** Why the plan is rejected, with alternatives. Undefined: it is not. */
function rejectionReason(
  plan: Plan,
  number: number,
  { imageOnly, withRemovals, otherImage }: { imageOnly: boolean; withRemovals: boolean; otherImage: boolean },
): string | undefined {
  const again = `npx fly-pops rollback ${number}`;
  const alone = imageOnly || !otherImage ? [] : [`To deploy only its image and keep all PoPs: ${again} --image-only`];
  if (plan.errors.length > 0) return [...plan.errors, ...alone].join("\n");
  const lost = losses(plan);
  if (lost.length === 0 || withRemovals) return undefined;
  return [`It would ${lost.join(", ")}.`, ...alone, `To deploy all of it: ${again} --with-removals`].join("\n");
}

/** Runs pulumi up without another preview. The CLI's output shows what it does and what fails. */
async function deploy(context: CliContext, stack: Stack, args: string[]): Promise<void> {
  const up = ["up", "--yes", "--skip-preview", "--suppress-outputs", "--stack", stack.reference, ...args];
  const { code } = await runPulumi(context, up, { env: stack.env, shown: true });
  if (code !== 0)
    throw new CliError(
      `${stack.name} was not rolled back: pulumi up exited with code ${code}, see the output above. Check the PoPs: npx fly-pops status`,
    );
}
