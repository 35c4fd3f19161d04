/** Pulumi.local.yaml as the program will read it, for what must be known before Pulumi runs. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { ConfigError } from "../config/issues.ts";
import { parseStackValues } from "../config/stack-values.ts";
import type { EdgeConfig } from "../config/types.ts";
import { exactNames } from "../image/render/hosts.ts";
import { projectDir, stackName } from "./paths.ts";

/** Names of all sites, those of proxied and cached ones first. Nobody here issues certificates for wildcards. */
export async function siteHosts(): Promise<string[]> {
  const { image } = await stackConfig();
  const proxied = image.sites.filter((site) => site.kind === "proxy");
  return exactNames([...proxied, ...image.sites.filter((site) => site.kind !== "proxy")]);
}

export const appName = async (): Promise<string> => (await stackConfig()).app;

/** Throws all mistakes of the file. */
async function stackConfig(): Promise<EdgeConfig> {
  const file = `Pulumi.${stackName}.yaml`;
  const { config = {} } = parse(await readFile(join(projectDir, file), "utf8"), { merge: true }) as {
    config?: Record<string, unknown>;
  };
  try {
    return parseStackValues(config);
  } catch (error) {
    throw error instanceof ConfigError ? new Error(`${file}: ${error.message}`, { cause: error }) : error;
  }
}
