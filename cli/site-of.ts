/** The site of the stack file that a command names. */
import { nearest } from "../config/nearest.ts";
import { findSite, namesOf } from "../image/render/hosts.ts";
import type { Site } from "../image/spec.ts";
import type { Stack } from "./stack.ts";
import { Refusal } from "./world.ts";

/** By any of its names. Undefined where the stack file has mistakes, so that nobody knows its sites. */
export function siteOf(stack: Stack, host: string): Site | undefined {
  const { config } = stack.wanted();
  if (config === undefined) return undefined;
  const { sites, passThrough = [] } = config.image;
  const through = passThrough.find((it) => namesOf(it).includes(host.toLowerCase()));
  if (through)
    throw new Refusal(
      `TLS of ${host} is passed through (passThrough), so no PoP sees its requests or keeps its responses. Its own server does.`,
    );
  const site = findSite(sites, host.toLowerCase());
  if (site) return site;
  const hosts = sites.flatMap(namesOf);
  const meant = nearest(host, hosts);
  throw new Refusal(
    `There is no site ${host} in the stack file. ${meant ? `Did you mean ${meant}?` : `It has: ${hosts.join(", ") || "none"}.`}`,
  );
}

/** Which hosts of requests are that site's. Where the stack file has mistakes, only the one that was named. */
export function hostsOf(stack: Stack, name: string): (host: string) => boolean {
  const site = siteOf(stack, name);
  const sites = stack.wanted().config?.image.sites ?? [];
  if (site === undefined) return (host) => host.toLowerCase() === name.toLowerCase();
  return (host) => findSite(sites, host.toLowerCase()) === site;
}
