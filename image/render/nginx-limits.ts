import { createHash } from "node:crypto";
import { limits } from "../limits.ts";
import type { Limit } from "../spec.ts";
import { connectionBounds } from "./nginx-common.ts";
import { limitOf, type SitePart } from "./site-parts.ts";
import { boundedInt } from "./validators.ts";

/**
 * Limits per visitor: https://nginx.org/en/docs/http/ngx_http_limit_req_module.html. nginx counts a request before it looks into the cache or contacts an
 * origin. Requests above a limit get 429, with a Retry-After from this project's module (image/nginx/reject.c).
 */

/** What a limit applies to. */
export interface LimitScope {
  host: string;
  /** A part of the site that is counted separately, by its path. Absent: the whole site. */
  part?: string;
}

/**
 * MB for the visitors of all sites with one rate: about 16,000 entries of 128 bytes, one for each visitor and site. When it is full, nginx drops the entries
 * that were not used for the longest time, so a flood from many addresses takes no more memory. The kernel allocates memory only as it is used.
 */
const siteZoneMb = 2;
/** KB for the visitors of one part of a site: about 4,000. */
const partZoneKb = 512;

/** Directives of the `http` block, if there is any limit: the zones that count visitors. */
export function limitZones(all: { scope: LimitScope; limit: Limit }[]): string[] {
  if (all.length === 0) return [];
  const zones = all.map(({ scope, limit }) => {
    const key = scope.part === undefined ? "$pop_visitor$server_name" : "$pop_visitor";
    const size = scope.part === undefined ? `${siteZoneMb}m` : `${partZoneKb}k`;
    return `limit_req_zone ${key} zone=${requestsZone(scope, limit)}:${size} rate=${rateText(scope, limit)};`;
  });
  const connections = all.flatMap(({ scope, limit }) => {
    if (limit.connections === undefined) return [];
    return scope.part === undefined
      ? [`limit_conn_zone $pop_visitor$server_name zone=connections:${siteZoneMb}m;`]
      : [`limit_conn_zone $pop_visitor zone=${connectionsZone(scope)}:${partZoneKb}k;`];
  });
  return [...new Set([...zones, ...connections])]
    .toSorted()
    .concat("limit_req_status 429;", "limit_req_log_level info;");
}

/** The limits of sites and of their rules. */
export const limitsOf = (parts: SitePart[]): { scope: LimitScope; limit: Limit }[] =>
  parts.flatMap((part) => {
    const limit = limitOf(part);
    return limit ? [{ scope: scopeOf(part), limit }] : [];
  });

export const scopeOf = ({ host, path }: Pick<SitePart, "host" | "path">): LimitScope => ({
  host,
  ...(path !== undefined && { part: path }),
});

/** Directives of a server or location with a limit. */
export function limitLines(scope: LimitScope, limit: Limit): string[] {
  const { burst, count, per } = limit.requests;
  const ahead = boundedInt(burst, `${scope.host}: limit.burst`, { min: 0, max: 100_000 });
  return [
    `limit_req zone=${requestsZone(scope, limit)}${ahead > 0 ? ` burst=${ahead} nodelay` : ""};`,
    // Until one more request is allowed.
    `pop_retry_after ${Math.ceil((per === "s" ? 1 : 60) / count)}s;`,
    ...(limit.connections === undefined ? [] : connectionLines(scope, limit.connections)),
  ];
}

/** One limit_conn replaces all inherited ones (`bounds`), so those are repeated. */
const connectionLines = (scope: LimitScope, connections: number): string[] => [
  `limit_conn ${connectionsZone(scope)} ${boundedInt(connections, `${scope.host}: limit.connections`, { min: 1, max: limits.visitorRequests })};`,
  ...connectionBounds,
  // nginx has one status for all of them; the visitor's own limit is the lowest.
  "limit_conn_status 429;",
];

function rateText({ host }: LimitScope, { requests: { count, per } }: Limit): string {
  return `${boundedInt(count, `${host}: limit.requests`, { min: 1, max: 100_000 })}r/${per === "s" ? "s" : "m"}`;
}

/** Sites with the same rate share a zone; the key tells them apart. */
const requestsZone = (scope: LimitScope, { requests: { count, per } }: Limit): string =>
  scope.part === undefined ? `requests_${count}_${per}` : `requests_${digest(scope)}`;

const connectionsZone = (scope: LimitScope): string =>
  scope.part === undefined ? "connections" : `connections_${digest(scope)}`;

const digest = ({ host, part = "" }: LimitScope): string =>
  createHash("sha256").update(`${host} ${part}`).digest("hex").slice(0, 16);
