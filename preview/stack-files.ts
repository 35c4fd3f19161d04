/** A stack's configuration in a checkout, as the engine would pass it to the program. */
import { existsSync } from "node:fs";
import { isAbsolute, relative, resolve, sep } from "node:path";
import { parseStackValues } from "../config/stack-values.ts";
import type { EdgeConfig } from "../config/types.ts";
import { stackFilePath, stackFileVariable } from "../lib/stack-file-path.ts";
import type { Env } from "../stack/pulumi-cli.ts";
import { projectDefaults, projectName, readStackFile } from "../stack/stack-file.ts";

/** Placeholder for an encrypted value, which cannot be decrypted here and is not needed. */
const secret = "[secret]";

export interface StackConfig {
  project: string;
  /** By full key, as strings; other types as JSON. */
  values: Record<string, string>;
  /** Keys of encrypted values. */
  secretKeys: string[];
}

/** Undefined: the stack has no file in the checkout. */
export function readStackConfig(dir: string, stack: string, env: Env): StackConfig | undefined {
  if (!existsSync(stackFilePath(dir, stack, env))) return undefined;
  const project = projectName(dir);
  const defaults = Object.entries(projectDefaults(dir)).map(([key, value]) => [`${project}:${key}`, value] as const);
  const all = { ...Object.fromEntries(defaults), ...readStackFile(dir, stack, env) };
  const isSecret = (value: unknown) => typeof value === "object" && value !== null && "secure" in value;
  return {
    project,
    values: Object.fromEntries(
      Object.entries(all).map(([key, value]) => [
        key,
        isSecret(value) ? secret : typeof value === "string" ? value : JSON.stringify(value),
      ]),
    ),
    secretKeys: Object.keys(all).filter((key) => isSecret(all[key])),
  };
}

/** Throws all errors in the file, or an error if it does not exist. */
export const readEdgeConfig = (dir: string, stack: string, env: Env): EdgeConfig =>
  parseStackValues(readStackFile(dir, stack, env));

/** The environment with which every checkout of the project reads its own version of the file. A file outside of the project is the same for all. */
export function envOfCheckouts(dir: string, env: Env): Env {
  const given = env[stackFileVariable];
  if (!given) return env;
  const path = relative(dir, resolve(dir, given));
  return isAbsolute(path) || path.split(sep)[0] === ".." ? env : { ...env, [stackFileVariable]: path };
}
