/** Pulumi.<stack>.yaml and Pulumi.yaml, read without the CLI. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { ConfigError } from "../config/mistakes.ts";
import { parseStackValues } from "../config/stack-values.ts";
import type { EdgeConfig } from "../config/types.ts";
import { stackName as localStack, paths, projectDir } from "../local/paths.ts";
import { stackFileName, stackFiles } from "./project.ts";
import { Refusal } from "./world.ts";

export { stackFileName, stackFiles };

/** Values by full key, e.g. `fly-pops:app`; an encrypted one is `{ secure: ciphertext }`. */
export type StackValues = Record<string, unknown>;

/** YAML as Pulumi takes it: `<<` merges a map into its own. */
const asPulumi = (text: string): unknown => parse(text, { merge: true });

export function readStackFile(dir: string, stack: string): StackValues {
  const file = stackFilePath(dir, stack);
  if (!existsSync(file))
    throw new Refusal(
      `Stack ${stack}: there is no ${stackFileName(stack)} in ${dir}. Stacks with a file: ${stackFiles(dir).join(", ") || "none"}. Name one with --stack, or write one: npx fly-pops init`,
    );
  try {
    const { config } = (asPulumi(readFileSync(file, "utf8")) ?? {}) as { config?: StackValues };
    return config ?? {};
  } catch (error) {
    throw new Refusal(`${stackFileName(stack)}: not readable as YAML, ${(error as Error).message.split("\n")[0]}`, {
      cause: error,
    });
  }
}

/** As long as no homelab is behind the local stack, its file is made of the one in git. */
export const stackFilePath = (dir: string, stack: string): string =>
  stack === localStack && dir === projectDir && existsSync(paths.firstStage)
    ? paths.firstStage
    : join(dir, stackFileName(stack));

/** The configuration as the program will see it. All mistakes of the file at once. */
export function edgeConfig(stack: string, values: StackValues): EdgeConfig {
  try {
    return parseStackValues(values);
  } catch (error) {
    throw error instanceof ConfigError
      ? new Refusal(`${stackFileName(stack)}: ${error.message}`, { cause: error })
      : error;
  }
}

export function projectName(dir: string): string {
  const { name } = asPulumi(readFileSync(join(dir, "Pulumi.yaml"), "utf8")) as { name: string };
  return name;
}

/** What Pulumi.yaml says for keys that no stack file names: keys without `fly-pops:`. */
export function projectDefaults(dir: string): Record<string, unknown> {
  const { config = {} } = asPulumi(readFileSync(join(dir, "Pulumi.yaml"), "utf8")) as {
    config?: Record<string, { default?: unknown }>;
  };
  return Object.fromEntries(
    Object.entries(config).flatMap(([key, it]) => (it.default === undefined ? [] : [[key, it.default]])),
  );
}
