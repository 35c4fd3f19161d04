/** Rules of the user's own configuration of nginx. */
import { type Mistake, mistake } from "../mistakes.ts";
import { plainName } from "../names.ts";
import { nearest } from "../nearest.ts";
import type { Sketch } from "../sketch.ts";
import { isPassedThrough } from "./pass-through.ts";

/** A file for a site goes into that site's server: there has to be one. */
export function nginxSites({ file, unclear }: Sketch): Mistake[] {
  const hosts = (file.sites ?? []).flatMap((site) => (site?.host === undefined ? [] : [plainName(site.host)]));
  // A host that could not be read may be the one that is meant.
  if (unclear("sites") || (file.sites ?? []).some((site) => site?.host === undefined)) return [];
  const seen = new Set<string>();
  return Object.keys(file.nginx?.sites ?? {}).flatMap((host) => {
    const path = ["nginx", "sites", host];
    const name = plainName(host);
    if (seen.has(name)) return [mistake(path, "names a site a second time: case and a final dot do not count.")];
    seen.add(name);
    if (
      (file.sites ?? []).some(
        (site) => site?.host !== undefined && plainName(site.host) === name && isPassedThrough(site),
      )
    )
      return [mistake(path, "names a site with passThrough, which has no server here that could take directives.")];
    if (hosts.includes(name)) return [];
    const alias = (file.sites ?? []).find((site) =>
      site?.aliases?.some((it) => it !== undefined && plainName(it) === name),
    );
    if (alias?.host !== undefined) return [mistake(path, `names an alias: write the site's host, ${alias.host}.`)];
    const meant = nearest(name, hosts);
    return [mistake(path, `names no site of this file${meant === undefined ? "." : `; did you mean ${meant}?`}`)];
  });
}
