import type { SiteCache } from "../spec.ts";
import { boundedInt, isHeaderName } from "./validators.ts";

/** A site's settings for stored responses other than times (image/nginx/policy.c): which statuses are stored, and what distinguishes responses. */

/**
 * Statuses that `statuses` may have: those that a cache may store by default (RFC 9110 15.1) except 200, which has `maxAge`, and 206, which is never stored;
 * and 302 and 307. All others apply to one moment (5xx, 429) or one visitor (401, 403, 407), or say nothing about the resource (400, 412, 416).
 */
export const storedStatuses: readonly number[] = [203, 204, 300, 301, 302, 307, 308, 404, 405, 410, 414, 501];

/** Parameters that one site may ignore. They are part of every cache key. */
export const maxIgnoredParameters = 32;

/** Name of a parameter, or the start of one followed by `*`. Only characters that have a single meaning in a query, in a cache key and in nginx's language. */
export const isParameterName = (name: string): boolean => /^[A-Za-z0-9_.~-]{1,24}\*?$/.test(name);

/** Characters of all names in `vary` together: nginx stores 128 per response, and the origin's own Vary needs room. */
export const maxVaryLength = 64;

/** Directives of a location whose responses are stored. */
export const policyLines = (host: string, { statuses = [], ignoreQuery, ignoreOrigin, vary }: SiteCache): string[] => [
  ...statuses.map(
    ({ status, seconds }) => `pop_cache_fresh ${storedStatus(host, status)} ${freshSeconds(host, seconds)}s;`,
  ),
  ...(ignoreQuery === undefined ? [] : [`pop_cache_ignore_query ${parameters(ignoreQuery).join(" ")};`]),
  ...(ignoreOrigin ? ["pop_cache_ignore_origin on;"] : []),
  ...(vary === undefined ? [] : [`pop_cache_vary ${vary.map(varyHeader).join(" ")};`]),
];

/**
 * The end of a cache key. The list of ignored parameters is part of it: `pop purge` finds responses by it (image/pop/purge), and a response stored under one
 * list is never served under another. No request target starts with a bracket, so no visitor can produce a key of another list.
 */
export const cacheKeySuffix = (ignoreQuery: SiteCache["ignoreQuery"]): string =>
  ignoreQuery === undefined ? "$request_uri" : `[${parameters(ignoreQuery).join(",")}]$pop_cache_uri`;

/** The longest time for which the site's own settings make a response fresh, in seconds. */
export const maxFreshSeconds = ({ maxAgeSeconds, statuses = [] }: SiteCache): number =>
  Math.max(maxAgeSeconds, ...statuses.map(({ seconds }) => seconds));

const freshSeconds = (host: string, seconds: number): number =>
  boundedInt(seconds, `${host}: cache.statuses`, { min: 0, max: 31_536_000 });

function storedStatus(host: string, status: number): number {
  if (!storedStatuses.includes(status)) throw new Error(`${host}: cache.statuses: ${status} is not stored.`);
  return status;
}

/** `*`: the whole query. */
const parameters = (ignoreQuery: NonNullable<SiteCache["ignoreQuery"]>): string[] =>
  ignoreQuery === true ? ["*"] : ignoreQuery.map(parameterName);

function parameterName(name: string): string {
  if (!isParameterName(name)) throw new Error(`parameter ${JSON.stringify(name)}: not the name of a parameter.`);
  return name;
}

function varyHeader(name: string): string {
  if (!isHeaderName(name)) throw new Error(`cache.vary: ${JSON.stringify(name)} is not the name of a header.`);
  return name.toLowerCase();
}
