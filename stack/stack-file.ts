/** Pulumi.<stack>.yaml and Pulumi.yaml, read without the CLI. Every program of the project reads them here. */
import { existsSync, readFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { parse } from "yaml";
import { ConfigError } from "../config/issues.ts";
import { parseStackValues } from "../config/stack-values.ts";
import type { EdgeConfig } from "../config/types.ts";
import { stackFilePath } from "../lib/stack-file-path.ts";
import { stackFiles } from "./project.ts";

/** Values by full key, e.g. `fly-pops:app`; an encrypted one is `{ secure: ciphertext }`. */
export type StackValues = Record<string, unknown>;

/** A stack file's text as data: `config`, and keys that only Pulumi reads. */
export interface StackFileContent {
  config?: StackValues;
}

/** A stack file that does not exist or has errors. The message is for the user. */
export class StackFileError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StackFileError";
  }
}

type Env = Readonly<Record<string, string | undefined>>;

/** Options of the YAML library to read a file as Pulumi does, with `<<` merges. */
export const asPulumi = { merge: true } as const;

/** A stack file by its path. An empty one has no values. */
export function readStackFileAt(file: string): StackFileContent {
  try {
    return (parse(readFileSync(file, "utf8"), asPulumi) ?? {}) as StackFileContent;
  } catch (error) {
    throw new StackFileError(`${basename(file)}: invalid YAML, ${(error as Error).message.split("\n")[0]}`, {
      cause: error,
    });
  }
}

/** The file that Pulumi reads. `env`: the environment of the CLI, which may name another than the stack's own. */
export function readStackFile(dir: string, stack: string, env: Env): StackValues {
  const file = stackFilePath(dir, stack, env);
  if (!existsSync(file))
    throw new StackFileError(
      `Stack ${stack}: there is no ${relative(dir, file)} in ${dir}. Stacks with a file: ${stackFiles(dir).join(", ") || "none"}. Pass --stack, or create a stack file: npx fly-pops init`,
    );
  return readStackFileAt(file).config ?? {};
}

/** The configuration as the program gets it. Throws all errors in the file at once. `name` is the file's, for the message. */
export function edgeConfigOf(name: string, values: StackValues): EdgeConfig {
  try {
    return parseStackValues(values);
  } catch (error) {
    throw error instanceof ConfigError ? new StackFileError(`${name}: ${error.message}`, { cause: error }) : error;
  }
}

export function projectName(dir: string): string {
  const { name } = parse(readFileSync(join(dir, "Pulumi.yaml"), "utf8"), asPulumi) as { name: string };
  return name;
}

/** Defaults in Pulumi.yaml for keys that the stack file does not set, without `fly-pops:`. */
export function projectDefaults(dir: string): Record<string, unknown> {
  const { config = {} } = parse(readFileSync(join(dir, "Pulumi.yaml"), "utf8"), asPulumi) as {
    config?: Record<string, { default?: unknown }>;
  };
  return Object.fromEntries(
    Object.entries(config).flatMap(([key, it]) => (it.default === undefined ? [] : [[key, it.default]])),
  );
}
