/** Pulumi.local.yaml as the program will read it, for what must be known before Pulumi runs. */
import { join, relative } from "node:path";
import { stringify } from "yaml";
import type { EdgeConfig } from "../../config/types.ts";
import { exactNames } from "../../image/render/hosts.ts";
import { edgeConfigOf, readStackFileAt } from "../../stack/stack-file.ts";
import { names } from "../internet/internet.ts";
import { derivedStackFile, projectDir, stackName } from "../paths.ts";
import { withoutHomelab } from "./stages.ts";

const file = `Pulumi.${stackName}.yaml`;
const written = join(projectDir, file);

/** The configuration of what is deployed. Throws all mistakes of the file. */
export function stackConfig(): EdgeConfig {
  const path = derivedStackFile() ?? written;
  return read(path, relative(projectDir, path));
}

/** What Pulumi.local.yaml says. Throws all its mistakes. */
export const writtenConfig = (): EdgeConfig => read(written, file);

export const appName = (): string => stackConfig().app;

/** What of Pulumi.local.yaml holds without a homelab, as the text of a stack file. Throws what the program would not take. */
export function firstStage(): string | undefined {
  const { config = {}, ...others } = readStackFileAt(written);
  const kept = withoutHomelab(config, `http://${names.origin}:8080`);
  if (kept === undefined) return undefined;
  const head = `# Written by \`npm run local\`: ${file} without what needs the homelab, for as long as there is none.\n`;
  edgeConfigOf(`${file} without what needs the homelab`, kept);
  return head + stringify({ config: kept, ...others });
}

/** Names of all sites, those of proxied and cached ones first, or of those with certificates from there. The authority here issues none for wildcards. */
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

const read = (path: string, name: string): EdgeConfig => edgeConfigOf(name, readStackFileAt(path).config ?? {});
