/**
 * `rollback`: an older release once more, through Pulumi: a preview, a question, and an update that verifies as every other does. What is deployed
 * is the configuration of that release with the image that ran then, so nothing is built.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { isCollection, parseDocument } from "yaml";
import { ownValues } from "../../config/stack-values.ts";
import { releaseNumbered } from "../history.ts";
import { runPulumi } from "../pulumi.ts";
import type { Stack } from "../stack.ts";
import { edgeConfig, projectDefaults, stackFileName } from "../stack-file.ts";
import { confirmed, type ExitCode, note, Refusal, unaskable, type World } from "../world.ts";

export interface RollbackOptions {
  yes?: boolean;
  /** Only the image of that release: regions, sizes and rollout stay as the stack file has them. */
  imageOnly?: boolean;
  /** Writes what was deployed into the stack file. */
  write?: boolean;
}

const prefix = "fly-pops:";

export async function rollback(
  world: World,
  stack: Stack,
  number: number,
  { yes, imageOnly, write }: RollbackOptions,
): Promise<ExitCode> {
  const { release, config } = await releaseNumbered(world, stack, number);
  if (release.result !== "succeeded")
    throw new Refusal(
      `Release ${number} itself ${release.result === "failed" ? "failed" : `is ${release.result}`}. Nothing was changed. Take one that succeeded: npx fly-pops releases`,
    );
  if (release.image === null)
    throw new Refusal(
      `Release ${number}: nobody knows its image any more, the PoPs it ran in are gone. Nothing was changed. Check out commit ${release.commit ?? "of that time"} and deploy it: npx pulumi up`,
    );
  const current = ownValues(stack.values);
  const wanted = imageOnly ? current : withoutDefaults(config, current, projectDefaults(world.dir));
  const keys = Object.fromEntries(
    Object.entries({ ...wanted, imageRef: release.image }).map(([key, value]) => [prefix + key, value]),
  );
  const file = stackFileName(stack.name);
  const text = withConfig(readFileSync(join(world.dir, file), "utf8"), keys);
  // All mistakes come out before Pulumi is asked: the rules of today may refuse what those of then let pass.
  edgeConfig(stack.name, keys);
  const question = `Roll ${stack.name} back to release ${number} of ${release.startedAt} (image ${release.image})?`;
  if (!yes && !world.ask) throw unaskable(question);
  const folder = join(world.dir, ".cache", "rollback");
  const temporary = join(folder, file);
  mkdirSync(folder, { recursive: true });
  writeFileSync(temporary, text);
  try {
    const on = ["--stack", stack.reference, "--config-file", temporary];
    // Who does not ask reads no preview: `up` tells what it does.
    if (!yes) await shown(world, stack, "previewed", ["preview", ...on]);
    if (!(await confirmed(world, question, yes))) {
      note(world, "Nothing was changed.");
      return 0;
    }
    await shown(world, stack, "rolled back", [
      "up",
      "--yes",
      "--skip-preview",
      "--message",
      `rollback to release ${number}: ${release.message}`,
      ...on,
    ]);
  } finally {
    rmSync(temporary, { force: true });
  }
  if (write) writeFileSync(join(world.dir, file), text);
  note(
    world,
    write
      ? `Release ${number} runs, and ${file} says so. Commit it.`
      : `Release ${number} runs. ${file} was not changed: the next pulumi up deploys what it says. To stay here run this again with --write, or set fly-pops:imageRef: ${release.image}`,
  );
  return 0;
}

/** The CLI talks itself; its own last words say what went wrong. */
async function shown(world: World, stack: Stack, done: string, args: string[]): Promise<void> {
  const { code } = await runPulumi(world, args, { env: stack.env, shown: true });
  if (code !== 0)
    throw new Refusal(
      `${stack.name} was not ${done}: pulumi ${args[0]} ended with code ${code}, its reasons stand above. How the PoPs are: npx fly-pops status`,
    );
}

/** History has every key, also those that only Pulumi.yaml has a value for. */
const withoutDefaults = (
  config: Record<string, unknown>,
  current: Record<string, unknown>,
  defaults: Record<string, unknown>,
): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(config).filter(([key, value]) => key in current || !isDeepStrictEqual(value, defaults[key])),
  );

/** The file with exactly these keys of ours; comments, other keys and secrets stay as they are. */
export function withConfig(text: string, keys: Record<string, unknown>): string {
  const document = parseDocument(text);
  const config = document.get("config");
  const old = isCollection(config) ? Object.keys(config.toJSON() as object) : [];
  for (const key of old) if (key.startsWith(prefix) && !(key in keys)) document.deleteIn(["config", key]);
  for (const [key, value] of Object.entries(keys))
    if (JSON.stringify(toJson(document.getIn(["config", key]))) !== JSON.stringify(value))
      document.setIn(["config", key], value);
  return document.toString({ lineWidth: 0 });
}

const toJson = (node: unknown): unknown => (isCollection(node) ? node.toJSON() : node);
