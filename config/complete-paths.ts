/** Rules by path, completed: what a rule does not say is its site's. */
import type { DenialStatus, PathRule, RedirectStatus, Site } from "../image/spec.ts";
import { plainTarget } from "./path-names.ts";
import type { StackFile } from "./schema.ts";

type SiteKeys = StackFile["sites"][number];
type RuleKeys = NonNullable<SiteKeys["paths"]>[number];

/** @param complete makes a site, or what a rule has in common with one, of its keys */
export function withRules(site: SiteKeys, complete: (keys: SiteKeys) => Site): Site {
  if (site.paths === undefined) return complete(site);
  return { ...complete(site), paths: site.paths.map((rule) => pathRule(site, rule, complete)) };
}

function pathRule(site: SiteKeys, rule: RuleKeys, complete: (keys: SiteKeys) => Site): PathRule {
  const { path } = rule;
  const headers = mergedHeaders(site.headers, rule.headers);
  if (rule.deny !== undefined)
    return { path, kind: "deny", status: rule.deny as DenialStatus, ...(headers && { headers }) };
  if (rule.redirect !== undefined)
    return {
      path,
      kind: "redirect",
      to: plainTarget(rule.redirect),
      ...(rule.status !== undefined && { status: rule.status as RedirectStatus }),
      ...(headers && { headers }),
    };
  const { host: _, certificate: __, paths: ___, ...rest } = complete({ ...merged(site, rule), headers });
  const answer = { path, ...rest };
  return answer.kind !== "redirect" && rule.stripPrefix === true ? { ...answer, stripPrefix: true } : answer;
}

/** A site of the same host with what the rule says and, for the rest, what the site does. */
function merged(site: SiteKeys, rule: RuleKeys): SiteKeys {
  const { origin, files, luggage, redirect, status, tls, cache, timeouts, maxBodyMb, buffering, ...shared } = site;
  const isOwn = rule.origin !== undefined || rule.files !== undefined || rule.luggage !== undefined;
  const content = isOwn
    ? { origin: rule.origin, files: rule.files, luggage: rule.luggage, tls: rule.tls }
    : { origin, files, luggage, redirect, status, tls };
  const passes = content.origin !== undefined || content.luggage !== undefined;
  const stored = content.origin === undefined || rule.cache === false ? undefined : mergedMap(cache, rule.cache);
  const passing = {
    timeouts: mergedMap(timeouts, rule.timeouts),
    maxBodyMb: rule.maxBodyMb ?? maxBodyMb,
    // What is stored is buffered, and nothing else.
    buffering: stored === undefined ? (rule.buffering ?? buffering) : undefined,
  };
  return { ...shared, ...content, ...(passes && passing), cache: stored };
}

const mergedMap = <Map extends object>(site: Map | undefined, rule: Map | undefined): Map | undefined =>
  site === undefined && rule === undefined ? undefined : ({ ...site, ...rule } as Map);

/** By name, whatever its case; sorted. */
function mergedHeaders(
  site: SiteKeys["headers"] = {},
  rule: SiteKeys["headers"] = {},
): Record<string, string> | undefined {
  const own = new Set(Object.keys(rule).map((name) => name.toLowerCase()));
  const all = Object.entries(site)
    .filter(([name]) => !own.has(name.toLowerCase()))
    .concat(Object.entries(rule))
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  return all.length === 0 ? undefined : Object.fromEntries(all);
}
