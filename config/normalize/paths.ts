/** Path rules, normalized: a rule inherits from its site what it does not set. */

import type { DenialStatus, PathRule, RedirectStatus, Site } from "../../image/spec.ts";
import { byKey } from "../../lib/order.ts";
import { normalizeTarget } from "../path-validators.ts";
import type { StackFile } from "../schema.ts";
import { access } from "./visitors.ts";

type SiteKeys = StackFile["sites"][number];
type RuleKeys = NonNullable<SiteKeys["paths"]>[number];

/** @param normalizeSite normalizes a site, or the keys that a rule shares with a site */
export function withRules(site: SiteKeys, normalizeSite: (keys: SiteKeys) => Site): Site {
  if (site.paths === undefined) return normalizeSite(site);
  return { ...normalizeSite(site), paths: site.paths.map((rule) => pathRule(site, rule, normalizeSite)) };
}

function pathRule(site: SiteKeys, rule: RuleKeys, normalizeSite: (keys: SiteKeys) => Site): PathRule {
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
  const { host: _, certificate: __, paths: ___, ...rest } = normalizeSite({ ...merged(site, rule), headers });
  const response = {
    path,
    ...rest,
    ...(rule.compress === true && site.compress === false && { compress: true }),
    ...(rule.auth === false && { open: true as const }),
  };
  return response.kind !== "redirect" && rule.stripPrefix === true ? { ...response, stripPrefix: true } : response;
}

/** A site of the same host with the rule's keys and, for the rest, the site's. Keys that apply to all paths stay with the site only. */
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
    // With a cache, exactly the stored responses are buffered.
    buffering: stored === undefined && !isGrpc ? (rule.buffering ?? site.buffering) : undefined,
  };
  return {
    host,
    ...content,
    ...(passes ? passing : { hostHeader: undefined }),
    cache: stored,
    compress: rule.compress ?? site.compress,
    // The site's limit applies to a rule anyway. A limit of its own counts separately.
    limit: rule.limit ?? false,
    access: rule.access,
  };
}

const mergedMap = <Map extends object>(site: Map | undefined, rule: Map | undefined): Map | undefined =>
  site === undefined && rule === undefined ? undefined : ({ ...site, ...rule } as Map);

/** Merged by case-insensitive name, sorted. */
function mergedHeaders<Value>(
  site: Record<string, Value> = {},
  rule: Record<string, Value> = {},
): Record<string, Value> | undefined {
  const own = new Set(Object.keys(rule).map((name) => name.toLowerCase()));
  const all = Object.entries(site)
    .filter(([name]) => !own.has(name.toLowerCase()))
    .concat(Object.entries(rule))
    .toSorted(byKey);
  return all.length === 0 ? undefined : Object.fromEntries(all);
}
