/** The stack's configuration: read here and nowhere else, checked whole before anything is made. Keys: docs/config.md. */
import * as pulumi from "@pulumi/pulumi";
import { readStackFiles, type StackFiles } from "./config/files.ts";
import { ConfigError, secretValueIssue } from "./config/issues.ts";
import { parseConfig } from "./config/parse.ts";
import { assumedContextKey, parseValue } from "./config/stack-values.ts";
import type { EdgeConfig } from "./config/types.ts";

export type { StackFiles } from "./config/files.ts";
export { ConfigError } from "./config/issues.ts";
export { parseConfig } from "./config/parse.ts";
export { type Registry, readRegistry } from "./config/registry.ts";
export type { AddressType, EdgeConfig, ImagePlatform, PopConfig, RolloutConfig } from "./config/types.ts";

/**
 * The configuration of the stack being deployed, and what must be known of the files it names.
 * @throws pulumi.RunError, which Pulumi prints without a stack trace, naming every mistake.
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
    throw new pulumi.RunError(`Pulumi.${pulumi.getStack()}.yaml: ${error.message}`);
  }
}

/** Digest of the context that `imageRef` stands for; undefined where the operator set it, and any image will do. */
export const readAssumedContext = (): string | undefined => pulumi.runtime.allConfig()[assumedContextKey];

/** Keys with a secret value, as the engine tells every program. The SDK reads the same variable but keeps what it found to itself. */
function secretKeys(): string[] {
  return JSON.parse(process.env.PULUMI_CONFIG_SECRET_KEYS || "[]");
}

/** What stands here is rendered into the image and kept in plain state: a secret would stay none. */
function rejectSecretValues(keys: readonly string[]): void {
  if (keys.length === 0) return;
  throw new ConfigError(keys.toSorted().map(secretValueIssue));
}

/** Scalars come as text, the rest as JSON. */
function valueFor(config: pulumi.Config, key: string): unknown {
  const text = config.get(key);
  return text === undefined ? undefined : parseValue(key, text);
}
