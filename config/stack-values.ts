/** Converts values from a stack file, or as Pulumi passes them, into the shapes that the schema expects. Pure. */
import { keyPrefix } from "./keys.ts";
import { parseConfig } from "./parse.ts";
import { StackFile } from "./schema.ts";
import { fieldOf, schemaAt } from "./schema-path.ts";
import type { EdgeConfig } from "./types.ts";

/**
 * A string if the key takes one, else the text parsed as JSON: `pulumi config set` writes "false" for false. Texts that are neither are left for the
 * schema to reject. Empty text: undefined.
 */
export function parseValue(key: string, text: string): unknown {
  if (text === "" || text === "null") return undefined;
  const schema = schemaAt(StackFile, [key]);
  if (schema !== undefined && fieldOf(schema)?.type === "string") return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The fly-pops values of a stack file, with keys without `fly-pops:`. */
export const ownConfigValues = (values: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(values)
      .filter(([key]) => key.startsWith(keyPrefix))
      .map(([full, value]) => [full.slice(keyPrefix.length), value] as const)
      .map(([key, value]) => [key, typeof value === "string" ? parseValue(key, value) : (value ?? undefined)]),
  );

/**
 * The configuration of a stack file with these values, by full key.
 * @throws ConfigError listing every error
 */
export const parseStackValues = (values: Readonly<Record<string, unknown>>): EdgeConfig =>
  parseConfig(ownConfigValues(values));

/**
 * Digest of the build context that `imageRef` was assumed for. A preview without Docker sets it in its copy of the stack file (preview/engine-preview.ts), so
 * that machines get the same context as in the real deployment. Not a key of the stack file: with the operator's own `imageRef` nothing is compared.
 */
export const assumedContextKey = "fly-pops-preview:context";
