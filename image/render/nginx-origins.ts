import { createHash } from "node:crypto";
import { limits } from "../limits.ts";
import type { Passing, ProxySite } from "../spec.ts";
import { hostName, literal, type Origin, origin, originUrl, whole } from "./names.ts";
import { block } from "./nginx-block.ts";
import { hidden, marks, requestHeaders, setHeaders } from "./nginx-common.ts";

/**
 * How nginx reaches origins. Names are resolved while it runs, by a variable in proxy_pass: an upstream block would need them at start (nginx before 1.27.3),
 * when an origin that is away would keep it from starting. So a site of several origins has a hop for each: a server of nginx itself on a Unix socket, which
 * knows its one origin's name, certificate and times. An upstream block of those sockets has what only it can do: failures counted, others standing in.
 */

/** Where a site's own authorities lie in the image. */
export const originCaFile = (host: string): string => `etc/pop/origin-ca/${hostName(host)}.pem`;

/** Upstream blocks of a site: one for each origin given by address, whose connections are kept, and one for several origins. */
export function originUpstreams(site: ProxySite): string[] {
  const kept = targets(site)
    .filter(({ isAddress }) => isAddress)
    .map((to) => upstream(to.name, `${to.host}:${to.port}`));
  if (site.origins.length === 1) return kept;
  // Three failures, not one: a single page that is always slow must not turn a whole site away from its origin. Those that stand in are never spared:
  // with nobody left to ask, nginx would answer 502 without asking.
  const servers = site.origins.map(
    (_, at) =>
      `server unix:${hopSocket(site, at)} ${at === 0 ? "max_fails=3 fail_timeout=10s" : "max_fails=0 backup"};`,
  );
  // A zone: what one worker found out, all of them know.
  return [
    ...kept,
    block(`upstream ${groupName(site)}`, [
      `zone ${groupName(site)} 64k;`,
      ...servers,
      "keepalive 16;",
      "keepalive_timeout 50s;",
    ]),
  ];
}

/** An upstream block of one server: max_fails=0, for there is no other to spare it for. */
export const upstream = (name: string, address: string): string =>
  block(`upstream ${name}`, [`server ${address} max_fails=0;`, "keepalive 16;", "keepalive_timeout 60s;"]);

/** A server for each of several origins. */
export function hops(site: ProxySite): string[] {
  if (site.origins.length === 1) return [];
  return targets(site).map((to, at) =>
    block("server", [
      `listen unix:${hopSocket(site, at)};`,
      "access_log off;",
      // What comes in has been judged; what goes out is compressed, kept and marked on the way on.
      "client_max_body_size 0;",
      "gzip off;",
      "gzip_vary off;",
      "brotli off;",
      block("location /", [
        ...reach(site, to),
        "proxy_next_upstream off;",
        "proxy_buffering off;",
        "proxy_request_buffering off;",
        "proxy_redirect off;",
        "proxy_pass_header X-Accel-Expires;",
        ...requestHeaders("$http_x_real_ip"),
      ]),
    ]),
  );
}

/** The location of a site that passes its requests on to origins and keeps the answers. */
export function proxied(site: ProxySite): string[] {
  const { maxAgeSeconds, staleForSeconds } = site.cache;
  const maxAge = whole(maxAgeSeconds, `${site.host}: cache.maxAgeSeconds`, { min: 0, max: 31_536_000 });
  const staleFor = whole(staleForSeconds, `${site.host}: cache.staleForSeconds`, { min: 0, max: 31_536_000 });
  const all = targets(site);
  const [only] = all;
  const names = [...new Set([...all.map(({ host }) => host), site.host])];
  return [
    block("location /", [
      ...(all.length === 1 && only ? reach(site, only) : throughHops(site)),
      ...bodyLimit(site),
      `proxy_redirect "~*^https?://(?:${names.map(literal).join("|")})(?::[0-9]+)?(?<rest>/.*)?$" https://${site.host}$rest;`,
      ...all.filter(({ isAddress }) => !isAddress).map(({ host }) => `proxy_cookie_domain ${host} ${site.host};`),
      "proxy_cache pop;",
      `proxy_cache_key ${site.host}$request_uri;`,
      ...(maxAge > 0 ? [`proxy_cache_valid 200 ${maxAge}s;`] : []),
      ...(staleFor > 0
        ? [
            "proxy_cache_use_stale error timeout updating http_500 http_502 http_503 http_504;",
            "proxy_cache_background_update on;",
          ]
        : []),
      ...ownHeaders(site),
    ]),
  ];
}

/** Headers of a location that passes requests on: with one of its own it loses what is said for all, so that is said again. */
export function ownHeaders({ headers = {} }: Pick<ProxySite, "headers">): string[] {
  const names = Object.keys(headers).toSorted();
  return names.length === 0 ? [] : [...hidden(names), ...marks, ...setHeaders(headers)];
}

export const bodyLimit = ({ host, maxBodyMb }: Passing & { host: string }): string[] =>
  maxBodyMb === undefined
    ? []
    : [`client_max_body_size ${whole(maxBodyMb, `${host}: maxBodyMb`, { min: 1, max: 4096 })}m;`];

/** Times of one connection to what is behind, as far as the site says any. */
export function times({ host, timeouts = {} }: Passing & { host: string }): string[] {
  const bounds = { min: 1, max: 86_400 };
  return (["connect", "send", "read"] as const).flatMap((which) => {
    const seconds = timeouts[`${which}Seconds`];
    return seconds === undefined
      ? []
      : [`proxy_${which}_timeout ${whole(seconds, `${host}: timeouts.${which}Seconds`, bounds)}s;`];
  });
}

interface Target extends Origin {
  /** Its upstream block's, where it has one. */
  name: string;
}

function targets(site: ProxySite): Target[] {
  if (site.origins.length === 0) throw new Error(`site ${site.host}: has no origin.`);
  const several = site.origins.length > 1;
  return site.origins.map((url, at) => ({ ...origin(url), name: `origin_${several ? `${at}_` : ""}${site.host}` }));
}

/** From here to one origin. */
function reach(site: ProxySite, to: Target): string[] {
  const { ca, serverName } = site.tls ?? {};
  return [
    `set $origin ${to.isAddress ? `${to.scheme}://${to.name}` : originUrl(to)};`,
    "proxy_pass $origin;",
    ...(to.scheme === "https"
      ? [
          // nginx cannot check a certificate against an address: then it has to be one for the site's own name.
          `proxy_ssl_name ${serverName === undefined ? (to.isAddress ? site.host : to.host) : hostName(serverName)};`,
          ...(ca === undefined ? [] : [`proxy_ssl_trusted_certificate /${originCaFile(site.host)};`]),
        ]
      : []),
    ...times(site),
  ];
}

/** From here to whichever hop answers. Not for requests that may have had an effect already (POST): nginx repeats those never by itself. */
function throughHops(site: ProxySite): string[] {
  const connect = site.timeouts?.connectSeconds ?? limits.connectSeconds;
  const read = site.timeouts?.readSeconds ?? limits.readSeconds;
  return [
    `proxy_pass http://${groupName(site)};`,
    "proxy_next_upstream error timeout http_502 http_503 http_504;",
    `proxy_next_upstream_tries ${site.origins.length};`,
    // Time for each of them to be found dead, not for each to be slow.
    `proxy_next_upstream_timeout ${(connect + 1) * site.origins.length}s;`,
    // The hop's own times end first, and say 504.
    `proxy_read_timeout ${connect + read + 1}s;`,
  ];
}

const groupName = (site: ProxySite): string => `origins_${site.host}`;

/** Short, for a socket's path ends at 107 bytes; of the name, so that it stays when other sites come and go. */
const hopSocket = (site: ProxySite, at: number): string =>
  `/run/nginx/${createHash("sha256").update(site.host).digest("hex").slice(0, 16)}-${at}.sock`;
