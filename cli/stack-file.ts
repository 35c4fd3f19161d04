/** Pulumi.<stack>.yaml and Pulumi.yaml, read without the CLI. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parse } from "yaml";
import { ConfigError } from "../config/issues.ts";
import { parseStackValues } from "../config/stack-values.ts";
import type { EdgeConfig } from "../config/types.ts";
import { CliError } from "./context.ts";
import { stackFileName, stackFiles } from "./project.ts";

export { stackFileName, stackFiles };

/** Values by full key, e.g. `fly-pops:app`; an encrypted one is `{ secure: ciphertext }`. */
export type StackValues = Record<string, unknown>;

type Env = Readonly<Record<string, string | undefined>>;

/** YAML as Pulumi reads it, with `<<` merges. */
const asPulumi = (text: string): unknown => parse(text, { merge: true });

export function readStackFile(dir: string, stack: string, env: Env = {}): StackValues {
  const file = stackFilePath(dir, stack, env);
  if (!existsSync(file))
    throw new CliError(
      `Stack ${stack}: there is no ${stackFileName(stack)} in ${dir}. Stacks with a file: ${stackFiles(dir).join(", ") || "none"}. Pass --stack, or create a stack file: npx fly-pops init`,
    );
  try {
    const { config } = (asPulumi(readFileSync(file, "utf8")) ?? {}) as { config?: StackValues };
    return config ?? {};
  } catch (error) {
    throw new CliError(`${stackFileName(stack)}: invalid YAML, ${(error as Error).message.split("\n")[0]}`, {
      cause: error,
    });
  }
}

/** The file that Pulumi reads: the stack's own, unless the environment names another, as that of the local stack does before there is a homelab. */
export const stackFilePath = (dir: string, stack: string, env: Env): string =>
  env.PULUMI_OPTION_CONFIG_FILE ? resolve(dir, env.PULUMI_OPTION_CONFIG_FILE) : join(dir, stackFileName(stack));

/** The configuration as the program gets it. Throws all errors in the file at once. */
export function edgeConfig(stack: string, values: StackValues): EdgeConfig {
  try {
    return parseStackValues(values);
  } catch (error) {
    throw error instanceof ConfigError
      ? new CliError(`${stackFileName(stack)}: ${error.message}`, { cause: error })
      : error;
  }
}

export function projectName(dir: string): string {
  const { name } = asPulumi(readFileSync(join(dir, "Pulumi.yaml"), "utf8")) as { name: string };
  return name;
}

/** Defaults in Pulumi.yaml for keys that the stack file does not set, without `fly-pops:`. */
export function projectDefaults(dir: string): Record<string, unknown> {
  const { config = {} } = asPulumi(readFileSync(join(dir, "Pulumi.yaml"), "utf8")) as {
    config?: Record<string, { default?: unknown }>;
  };
  return Object.fromEntries(
    Object.entries(config).flatMap(([key, it]) => (it.default === undefined ? [] : [[key, it.default]])),
  );
}
