/** A stack's configuration of a checkout, as the engine would hand it to the program. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { projectDefaults, projectName, readStackFile, stackFileName } from "../cli/stack-file.ts";
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

/** Undefined: the stack has no file there. */
export function readStackConfig(dir: string, stack: string): StackConfig | undefined {
  if (!existsSync(join(dir, stackFileName(stack)))) return undefined;
  const project = projectName(dir);
  const defaults = Object.entries(projectDefaults(dir)).map(([key, value]) => [`${project}:${key}`, value] as const);
  const all = { ...Object.fromEntries(defaults), ...readStackFile(dir, stack) };
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

/** Throws all mistakes of the file, and a sentence when there is none. */
export const readEdgeConfig = (dir: string, stack: string): EdgeConfig => parseStackValues(readStackFile(dir, stack));
