/** Finds the site that a command names in the stack file. */
import { suggest } from "../config/suggest.ts";
import { findSite, namesOf } from "../image/render/hosts.ts";
import type { Site } from "../image/spec.ts";
import { CliError } from "./context.ts";
import type { Stack } from "./stack.ts";

/** By any of its names. Undefined: the stack file is invalid, so its sites are unknown. */
export function siteByName(stack: Stack, host: string): Site | undefined {
  const { config } = stack.lenientConfig();
  if (config === undefined) return undefined;
  const { sites, passThrough = [] } = config.image;
  const through = passThrough.find((it) => namesOf(it).includes(host.toLowerCase()));
  if (through)
    throw new CliError(
      `${host} has passThrough, so PoPs neither see its requests nor cache its responses. Only its own server does.`,
    );
  const site = findSite(sites, host.toLowerCase());
  if (site) return site;
  const hosts = sites.flatMap(namesOf);
  const meant = suggest(host, hosts);
  throw new CliError(
    `There is no site ${host} in the stack file. ${meant ? `Did you mean ${meant}?` : `It has: ${hosts.join(", ") || "none"}.`}`,
  );
}

/** A test whether a request's host belongs to the site. If the stack file is invalid, only the given name matches. */
export function siteHostMatcher(stack: Stack, name: string): (host: string) => boolean {
  const site = siteByName(stack, name);
  const sites = stack.lenientConfig().config?.image.sites ?? [];
  if (site === undefined) return (host) => host.toLowerCase() === name.toLowerCase();
  return (host) => findSite(sites, host.toLowerCase()) === site;
}
