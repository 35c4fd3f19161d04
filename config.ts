/** The stack's configuration. Read only here, and validated completely before any resource is created. Keys: docs/config.md. */
import * as pulumi from "@pulumi/pulumi";
import { readStackFiles, type StackFiles } from "./config/files.ts";
import { ConfigError, secretValueIssue } from "./config/issues.ts";
import { parseConfig } from "./config/parse.ts";
import { assumedContextKey, parseValue } from "./config/stack-values.ts";
import type { EdgeConfig } from "./config/types.ts";
import { relativeStackFile } from "./lib/stack-file-path.ts";

export type { StackFiles } from "./config/files.ts";
export { type Registry, readRegistry } from "./config/registry.ts";
export type { EdgeConfig } from "./config/types.ts";

/**
 * The configuration of the stack being deployed, and the contents of files it names that the program needs.
 * @throws pulumi.RunError, which Pulumi prints without a stack trace, listing every error.
 */
export function readConfig(): EdgeConfig & { files: StackFiles } {
  const config = new pulumi.Config();
  const prefix = `${config.name}:`;
  const keys = Object.keys(pulumi.runtime.allConfig())
    .filter((key) => key.startsWith(prefix))
    .map((key) => key.slice(prefix.length));
  try {
    rejectSecretValues(keys.filter((key) => secretKeys().includes(prefix + key)));
    const edge = parseConfig(Object.fromEntries(keys.map((key) => [key, valueFor(config, key)])));
    return { ...edge, files: readStackFiles(edge) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const file = relativeStackFile(process.cwd(), pulumi.getStack(), process.env);
    throw new pulumi.RunError(`${file}: ${error.message}`);
  }
}

/** Digest of the build context that `imageRef` was assumed for. Undefined: the operator set `imageRef`, so any image is accepted. */
export const readAssumedContext = (): string | undefined => pulumi.runtime.allConfig()[assumedContextKey];

/** Keys with a secret value, which the engine passes to every program. The SDK reads the same variable but does not expose it. */
function secretKeys(): string[] {
  return JSON.parse(process.env.PULUMI_CONFIG_SECRET_KEYS || "[]");
}

/** Configuration is rendered into the image and stored in state as plain text, so a secret value would be exposed. */
function rejectSecretValues(keys: readonly string[]): void {
  if (keys.length === 0) return;
  throw new ConfigError(keys.toSorted().map(secretValueIssue));
}

/** Pulumi passes scalars as text and everything else as JSON. */
function valueFor(config: pulumi.Config, key: string): unknown {
  const text = config.get(key);
  return text === undefined ? undefined : parseValue(key, text);
}
