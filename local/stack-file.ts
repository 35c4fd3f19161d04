/** Pulumi.local.yaml as the program will read it, for what must be known before Pulumi runs. */
import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { parse, stringify } from "yaml";
import { ConfigError } from "../config/issues.ts";
import { parseStackValues } from "../config/stack-values.ts";
import type { EdgeConfig } from "../config/types.ts";
import { exactNames } from "../image/render/hosts.ts";
import { names } from "./internet/internet.ts";
import { derivedStackFile, projectDir, stackName } from "./paths.ts";
import { withoutHomelab } from "./stages.ts";

const file = `Pulumi.${stackName}.yaml`;
const written = join(projectDir, file);

interface StackFile {
  config?: Record<string, unknown>;
}

/** The configuration of what is deployed. Throws all mistakes of the file. */
export function stackConfig(): EdgeConfig {
  const path = derivedStackFile() ?? written;
  return configOf(read(path), relative(projectDir, path));
}

/** What Pulumi.local.yaml says. Throws all its mistakes. */
export const writtenConfig = (): EdgeConfig => configOf(read(written), file);

export const appName = (): string => stackConfig().app;

/** What of Pulumi.local.yaml holds without a homelab, as the text of a stack file. Throws what the program would not take. */
export function firstStage(): string | undefined {
  const { config = {}, ...others } = read(written);
  const kept = withoutHomelab(config, `http://${names.origin}:8080`);
  if (kept === undefined) return undefined;
  const head = `# Written by \`npm run local\`: ${file} without what needs the homelab, for as long as there is none.\n`;
  configOf({ config: kept }, `${file} without what needs the homelab`);
  return head + stringify({ config: kept, ...others });
}

/** Names of all sites, those of proxied and cached ones first, or of those with certificates from there. Nobody here issues any for wildcards. */
export function siteHosts(config: EdgeConfig, from?: "acme" | "vault"): string[] {
  const sites = sitesOf(config, from);
  return exactNames([...sites.filter(isProxied), ...sites.filter((site) => !isProxied(site))]);
}

/** The site whose page is shown. Undefined: none is proxied. */
export const pageHost = (config: EdgeConfig, from: "acme" | "vault"): string | undefined =>
  exactNames(sitesOf(config, from).filter(isProxied))[0];

type Site = EdgeConfig["image"]["sites"][number];

const isProxied = ({ kind }: Site): boolean => kind === "proxy";

const sitesOf = ({ image }: EdgeConfig, from?: "acme" | "vault"): Site[] =>
  image.sites.filter(({ certificateFrom = "vault" }) => from === undefined || certificateFrom === from);

const read = (path: string): StackFile => parse(readFileSync(path, "utf8"), { merge: true }) as StackFile;

function configOf({ config = {} }: StackFile, what: string): EdgeConfig {
  try {
    return parseStackValues(config);
  } catch (error) {
    throw error instanceof ConfigError ? new Error(`${what}: ${error.message}`, { cause: error }) : error;
  }
}
