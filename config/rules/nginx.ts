/** Rules for the user's own nginx configuration. */
import { type ConfigIssue, issue } from "../issues.ts";
import { suggest } from "../suggest.ts";
import type { ValidPart } from "../valid-part.ts";
import { normalizeName } from "../validators.ts";
import { isPassedThrough } from "./pass-through.ts";

/** A file for a site is included in that site's server block, so the site must exist. */
export function checkNginxSites({ file, isInvalid }: ValidPart): ConfigIssue[] {
  const hosts = (file.sites ?? []).flatMap((site) => (site?.host === undefined ? [] : [normalizeName(site.host)]));
  // An invalid host may be the one that is meant.
  if (isInvalid("sites") || (file.sites ?? []).some((site) => site?.host === undefined)) return [];
  const seen = new Set<string>();
  return Object.keys(file.nginx?.sites ?? {}).flatMap((host) => {
    const path = ["nginx", "sites", host];
    const name = normalizeName(host);
    if (seen.has(name)) return [issue(path, "names the same site twice: case and a final dot are ignored.")];
    seen.add(name);
    if (
      (file.sites ?? []).some(
        (site) => site?.host !== undefined && normalizeName(site.host) === name && isPassedThrough(site),
      )
    )
      return [issue(path, "names a site with passThrough, which has no nginx server block here to take directives.")];
    if (hosts.includes(name)) return [];
    const alias = (file.sites ?? []).find((site) =>
      site?.aliases?.some((it) => it !== undefined && normalizeName(it) === name),
    );
    if (alias?.host !== undefined) return [issue(path, `names an alias. Use the site's host, ${alias.host}.`)];
    const meant = suggest(name, hosts);
    return [issue(path, `is not a site of this file${meant === undefined ? "." : `; did you mean ${meant}?`}`)];
  });
}
