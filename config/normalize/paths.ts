/** Rules by path, completed: what a rule does not say is its site's. */
import type { DenialStatus, PathRule, RedirectStatus, Site } from "../../image/spec.ts";
import { normalizeTarget } from "../path-validators.ts";
import type { StackFile } from "../schema.ts";
import { access } from "./visitors.ts";

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
      to: normalizeTarget(rule.redirect),
      ...(rule.status !== undefined && { status: rule.status as RedirectStatus }),
      ...(headers && { headers }),
      ...(rule.access && { access: access(rule.access) }),
    };
  const { host: _, certificate: __, paths: ___, ...rest } = complete({ ...merged(site, rule), headers });
  const answer = {
    path,
    ...rest,
    ...(rule.compress === true && site.compress === false && { compress: true }),
    ...(rule.auth === false && { open: true as const }),
  };
  return answer.kind !== "redirect" && rule.stripPrefix === true ? { ...answer, stripPrefix: true } : answer;
}

/** A site of the same host with what the rule says and, for the rest, what the site does; what holds for all paths stays the site's alone. */
function merged(site: SiteKeys, rule: RuleKeys): SiteKeys {
  const { host, origin, protocol, files, luggage, redirect, status, tls, hostHeader, spa } = site;
  const isOwn = rule.origin !== undefined || rule.files !== undefined || rule.luggage !== undefined;
  const content = isOwn
    ? {
        origin: rule.origin,
        protocol: rule.protocol,
        files: rule.files,
        luggage: rule.luggage,
        tls: rule.tls,
        hostHeader: rule.hostHeader,
      }
    : { origin, protocol, files, luggage, redirect, status, tls, spa, hostHeader: rule.hostHeader ?? hostHeader };
  const passes = content.origin !== undefined || content.luggage !== undefined;
  const isGrpc = content.protocol === "grpc";
  const stores = content.origin !== undefined && !isGrpc;
  const stored = !stores || rule.cache === false ? undefined : mergedMap(site.cache, rule.cache);
  const passing = {
    timeouts: mergedMap(site.timeouts, rule.timeouts),
    maxBodyMb: rule.maxBodyMb ?? site.maxBodyMb,
    requestHeaders: mergedHeaders(site.requestHeaders, rule.requestHeaders),
    // What is stored is buffered, and nothing else.
    buffering: stored === undefined && !isGrpc ? (rule.buffering ?? site.buffering) : undefined,
  };
  return {
    host,
    ...content,
    ...(passes ? passing : { hostHeader: undefined }),
    cache: stored,
    compress: rule.compress ?? site.compress,
    // A rule has the site's without saying so; one of its own counts by itself.
    limit: rule.limit ?? false,
    access: rule.access,
  };
}

const mergedMap = <Map extends object>(site: Map | undefined, rule: Map | undefined): Map | undefined =>
  site === undefined && rule === undefined ? undefined : ({ ...site, ...rule } as Map);

/** By name, whatever its case; sorted. */
function mergedHeaders<Value>(
  site: Record<string, Value> = {},
  rule: Record<string, Value> = {},
): Record<string, Value> | undefined {
  const own = new Set(Object.keys(rule).map((name) => name.toLowerCase()));
  const all = Object.entries(site)
    .filter(([name]) => !own.has(name.toLowerCase()))
    .concat(Object.entries(rule))
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  return all.length === 0 ? undefined : Object.fromEntries(all);
}
