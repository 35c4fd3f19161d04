/** Pulumi.yaml and Pulumi.<stack>.yaml of a checkout, as the engine would hand them to the program. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { parseStackValues } from "../config/stack-values.ts";
import type { EdgeConfig } from "../config/types.ts";

/** Stands for an encrypted value: nothing here can open one, and nothing here needs it. */
const secret = "[secret]";

export interface StackConfig {
  project: string;
  /** By full key, as texts: what is no text is JSON. */
  values: Record<string, string>;
  /** Keys of encrypted values. */
  secretKeys: string[];
}

const stackFile = (dir: string, stack: string): string => join(dir, `Pulumi.${stack}.yaml`);

/** Undefined: the stack has no file there. */
export function readStackConfig(dir: string, stack: string): StackConfig | undefined {
  const file = stackFile(dir, stack);
  if (!existsSync(file)) return undefined;
  const { name, config: declared = {} } = read(join(dir, "Pulumi.yaml")) as {
    name: string;
    config?: Record<string, { default?: unknown }>;
  };
  const { config = {} } = (read(file) ?? {}) as { config?: Record<string, unknown> };
  const defaults = Object.entries(declared).flatMap(([key, it]) =>
    it?.default === undefined ? [] : [[`${name}:${key}`, it.default] as const],
  );
  const all = { ...Object.fromEntries(defaults), ...config };
  const isSecret = (value: unknown) => typeof value === "object" && value !== null && "secure" in value;
  return {
    project: name,
    values: Object.fromEntries(
      Object.entries(all).map(([key, value]) => [
        key,
        isSecret(value) ? secret : typeof value === "string" ? value : JSON.stringify(value),
      ]),
    ),
    secretKeys: Object.keys(all).filter((key) => isSecret(all[key])),
  };
}

/** Throws all mistakes of the file, and a sentence when there is none. */
export function readEdgeConfig(dir: string, stack: string): EdgeConfig {
  const file = stackFile(dir, stack);
  if (!existsSync(file))
    throw new Error(
      `Stack ${stack} has no file Pulumi.${stack}.yaml in ${dir}. There are: ${stacksOf(dir).join(", ") || "none"}.`,
    );
  const { config = {} } = (read(file) ?? {}) as { config?: Record<string, unknown> };
  return parseStackValues(config);
}

const stacksOf = (dir: string): string[] =>
  readdirSync(dir).flatMap((file) => /^Pulumi\.(.+)\.yaml$/.exec(file)?.[1] ?? []);

const read = (file: string): unknown => parse(readFileSync(file, "utf8"));
