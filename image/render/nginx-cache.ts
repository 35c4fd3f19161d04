import type { CacheStore, ProxySite, SiteCache } from "../spec.ts";
import { maxFreshSeconds, policyLines } from "./cache-policy.ts";
import { cacheKey, siteDigest } from "./hosts.ts";
import type { SitePart } from "./site-parts.ts";
import { boundedInt, escapeRegExp, isCookieName } from "./validators.ts";

/**
 * Caching: https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_cache. nginx stores, sends and evicts responses; this project's module
 * (image/nginx) decides by RFC 9111 what is stored, how long it is fresh, and when it is removed.
 */

const yearSeconds = 31_536_000;

/** The cache, shared by all sites with `cache`, and the directives they have in common. */
export function cacheStore(store: CacheStore, parts: SitePart[]): string[] {
  const storing = parts.filter(isStoring);
  if (storing.length === 0) return [];
  const maxSizeMb = boundedInt(store.maxSizeMb, "cache.maxSizeMb", { min: 16, max: 500_000 });
  const indexMb = boundedInt(store.indexMb, "cache.indexMb", { min: 1, max: 4096 });
  // Responses not requested for this long are removed. The longest lifetime of any site, as the response may be needed when the origin fails.
  const inactive = Math.max(
    3600,
    ...storing.map(
      ({ cache }) => maxFreshSeconds(cache) + cache.staleIfErrorSeconds + cache.staleWhileRevalidateSeconds,
    ),
  );
  return [
    // min_free makes room when something else fills the volume.
    `proxy_cache_path /var/cache/nginx/pop levels=1:2 use_temp_path=off keys_zone=pop:${indexMb}m max_size=${maxSizeMb}m min_free=${minFreeMb(maxSizeMb)}m inactive=${inactive}s;`,
    // Shared memory about keys: which are being fetched, and which have responses that may not be stored, so that no request waits for those.
    "pop_cache_crowd 1m;",
    "proxy_cache_lock off;",
    "proxy_cache_revalidate on;",
    // Used only where a stale response may be served while a fresh one is fetched (stale-while-revalidate).
    "proxy_cache_background_update on;",
    // HEAD is answered from a stored GET; otherwise it reaches the origin as HEAD.
    "proxy_cache_methods GET HEAD;",
    "proxy_cache_convert_head off;",
    // If nothing is stored, a range request reaches the origin unchanged.
    "proxy_cache_max_range_offset 0;",
    "if_modified_since before;",
    ...storing.flatMap(personalMap),
  ];
}

type StoringSite = ProxySite & { cache: SiteCache; path?: string };

export const isStoring = (part: SitePart): part is StoringSite => part.kind === "proxy" && part.cache !== undefined;

/** A variable that is 1 if the request has one of the cookies that make responses personal. */
const personalMap = ({ host, path, cache: { cookies } }: StoringSite): string[] =>
  cookies ? [`map $http_cookie ${personalVariable(host, path)} { "${cookiePattern(cookies)}" 1; default ""; }`] : [];

/** Names of variables cannot have dots or dashes. */
const personalVariable = (host: string, path = ""): string => `$personal_${siteDigest(`${host}${path}`)}`;

/** Space for responses that are being fetched: nginx removes old responses only after new ones are written. */
const minFreeMb = (maxSizeMb: number): number => Math.max(32, Math.floor(maxSizeMb / 10));

/** Directives of a location whose responses are stored. */
export function cacheLines(site: ProxySite & { path?: string }, cache: SiteCache): string[] {
  const { host, path } = site;
  const bounded = (value: number, key: string): number =>
    boundedInt(value, `${host}: cache.${key}`, { min: 0, max: yearSeconds });
  const maxAge = bounded(cache.maxAgeSeconds, "maxAgeSeconds");
  const staleIfError = bounded(cache.staleIfErrorSeconds, "staleIfErrorSeconds");
  const staleWhileRevalidate = bounded(cache.staleWhileRevalidateSeconds, "staleWhileRevalidateSeconds");
  const maxFileMb = boundedInt(cache.maxFileMb, `${host}: cache.maxFileMb`, { min: 1, max: 500_000 });
  // The module passes these requests through, as in a site without cache.
  const bypass = ["$http_authorization", "$websocket", ...(cache.cookies ? [personalVariable(host, path)] : [])];
  return [
    "proxy_buffering on;",
    "pop_cache pop;",
    `pop_cache_max_age ${maxAge}s;`,
    `pop_cache_stale_if_error ${staleIfError}s;`,
    `pop_cache_stale_while_revalidate ${staleWhileRevalidate}s;`,
    `pop_cache_max_file ${maxFileMb}m;`,
    // The site lists the cookies that matter, so the others do not.
    ...(cache.cookies ? ["pop_cache_cookies off;"] : []),
    ...policyLines(host, cache),
    "proxy_cache $pop_cache;",
    `proxy_cache_key ${cacheKey(site, cache)};`,
    // The module limits for how long.
    "proxy_cache_use_stale http_500 http_502 http_503 http_504;",
    // The module evaluates these.
    `proxy_ignore_headers X-Accel-Redirect X-Accel-Expires Cache-Control Expires Vary${cache.ignoreOrigin ? " Set-Cookie" : ""};`,
    `proxy_cache_bypass ${bypass.join(" ")};`,
  ];
}

/** An nginx pattern that matches a Cookie header with one of these cookies. */
const cookiePattern = (names: readonly string[]): string => `~(?:^|;)\\s*(?:${names.map(cookieName).join("|")})=`;

function cookieName(name: string): string {
  if (!isCookieName(name)) throw new Error(`cookie ${JSON.stringify(name)}: not the name of a cookie.`);
  return name.endsWith("*") ? `${escapeRegExp(name.slice(0, -1))}[^=;]*` : escapeRegExp(name);
}
