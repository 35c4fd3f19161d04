import { createHash } from "node:crypto";
import type { CacheStore, ProxySite, Site, SiteCache } from "../spec.ts";
import { isCookieName, literal, whole } from "./names.ts";

/**
 * What nginx stores, for whom and for how long: https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_cache. nginx keeps, sends and evicts;
 * a module of this project (image/nginx) decides by RFC 9111 what is stored, for how long it is fresh, and when it is gone.
 */

const year = 31_536_000;

/** The one store of all sites that have `cache`, and what those say alike. */
export function cacheStore(store: CacheStore, sites: Site[]): string[] {
  const storing = sites.filter((site): site is StoringSite => site.kind === "proxy" && site.cache !== undefined);
  if (storing.length === 0) return [];
  const maxSizeMb = whole(store.maxSizeMb, "cache.maxSizeMb", { min: 16, max: 500_000 });
  const indexMb = whole(store.indexMb, "cache.indexMb", { min: 1, max: 4096 });
  // What nobody asked for goes after this time: as long as the most patient site wants, for it may be asked for when the origin fails.
  const inactive = Math.max(
    3600,
    ...storing.map(({ cache }) => cache.maxAgeSeconds + cache.staleIfErrorSeconds + cache.staleWhileRevalidateSeconds),
  );
  return [
    // min_free makes room when something else fills the volume.
    `proxy_cache_path /var/cache/nginx/pop levels=1:2 use_temp_path=off keys_zone=pop:${indexMb}m max_size=${maxSizeMb}m min_free=${minFreeMb(maxSizeMb)}m inactive=${inactive}s;`,
    // What is known of keys: who fetches one, for whom others wait, and which answers may not be stored, so that nobody waits for those.
    "pop_cache_crowd 1m;",
    "proxy_cache_lock off;",
    "proxy_cache_revalidate on;",
    // Refreshes only where an answer may be shown meanwhile (stale-while-revalidate).
    "proxy_cache_background_update on;",
    // HEAD is answered from a stored GET, and asks the origin for no more than itself otherwise.
    "proxy_cache_methods GET HEAD;",
    "proxy_cache_convert_head off;",
    // A range of what is not stored is asked of the origin as it is.
    "proxy_cache_max_range_offset 0;",
    "if_modified_since before;",
    ...storing.flatMap(personalMap),
  ];
}

type StoringSite = ProxySite & { cache: SiteCache };

/** 1 where a visitor has one of the cookies that make his answers his own. */
const personalMap = ({ host, cache: { cookies } }: StoringSite): string[] =>
  cookies ? [`map $http_cookie ${personal(host)} { "${cookiePattern(cookies)}" 1; default ""; }`] : [];

/** A variable's name takes neither dots nor dashes. */
const personal = (host: string): string => `$personal_${createHash("sha256").update(host).digest("hex").slice(0, 16)}`;

/** Room for what is being fetched: nginx removes old answers only after new ones were written. */
const minFreeMb = (maxSizeMb: number): number => Math.max(32, Math.floor(maxSizeMb / 10));

/** Lines of a location whose answers are stored. */
export function cached(host: string, cache: SiteCache): string[] {
  const bounded = (value: number, key: string): number => whole(value, `${host}: cache.${key}`, { min: 0, max: year });
  const maxAge = bounded(cache.maxAgeSeconds, "maxAgeSeconds");
  const staleIfError = bounded(cache.staleIfErrorSeconds, "staleIfErrorSeconds");
  const staleWhileRevalidate = bounded(cache.staleWhileRevalidateSeconds, "staleWhileRevalidateSeconds");
  const maxFileMb = whole(cache.maxFileMb, `${host}: cache.maxFileMb`, { min: 1, max: 500_000 });
  const bypass = ["$websocket", ...(cache.cookies ? [personal(host)] : [])].join(" ");
  return [
    "proxy_buffering on;",
    "pop_cache pop;",
    `pop_cache_max_age ${maxAge}s;`,
    `pop_cache_stale_if_error ${staleIfError}s;`,
    `pop_cache_stale_while_revalidate ${staleWhileRevalidate}s;`,
    `pop_cache_max_file ${maxFileMb}m;`,
    // Which cookies matter is said: then the others do not.
    ...(cache.cookies ? ["pop_cache_cookies off;"] : []),
    "proxy_cache $pop_cache;",
    `proxy_cache_key ${host}$request_uri;`,
    // Bounded by the module, which knows for how long.
    "proxy_cache_use_stale http_500 http_502 http_503 http_504;",
    // Judged by the module.
    "proxy_ignore_headers X-Accel-Redirect X-Accel-Expires Cache-Control Expires Vary;",
    // Who shows credentials is answered by the origin; whether that answer may be stored the module judges.
    `proxy_cache_bypass $http_authorization ${bypass};`,
    `proxy_no_cache ${bypass};`,
  ];
}

/** A pattern for nginx that finds one of these cookies in a Cookie header. */
const cookiePattern = (names: readonly string[]): string => `~(?:^|;)\\s*(?:${names.map(cookieName).join("|")})=`;

function cookieName(name: string): string {
  if (!isCookieName(name)) throw new Error(`cookie ${JSON.stringify(name)}: not a name of a cookie.`);
  return name.endsWith("*") ? `${literal(name.slice(0, -1))}[^=;]*` : literal(name);
}
