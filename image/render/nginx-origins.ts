import { createHash } from "node:crypto";
import { limits } from "../limits.ts";
import type { Passing, ProxySite } from "../spec.ts";
import { hostName, literal, type Origin, origin, whole } from "./names.ts";
import { block } from "./nginx-block.ts";
import { cached } from "./nginx-cache.ts";
import { hidden, marks, requestHeaders, setHeaders } from "./nginx-common.ts";

/**
 * How nginx reaches origins: by upstream blocks, whose connections are kept and whose names are resolved again and again while it runs (`resolve`), so
 * that an origin that is away keeps nothing from starting. https://nginx.org/en/docs/http/ngx_http_upstream_module.html
 */

/** Where a site's own authorities lie in the image. */
export const originCaFile = (host: string): string => `etc/pop/origin-ca/${hostName(host)}.pem`;

/** Upstream blocks of a site: one for all its origins, or one for each and one of their relays. */
export function originUpstreams(site: ProxySite): string[] {
  const all = targets(site);
  if (isUniform(site, all)) return [upstream(groupName(site), originServers(all))];
  return [
    ...all.map((to) => upstream(to.name, originServers([to]))),
    upstream(
      groupName(site),
      // Never spared: a relay itself does not fail, and with nobody left to ask nginx would answer 502 without asking.
      all.map(({ socket }, at) => `server unix:${socket} ${at === 0 ? firstOfSeveral : "max_fails=0 backup"};`),
    ),
  ];
}

/**
 * An upstream block. The zone is what lets names resolve and what makes workers share what one of them found out. Many origins close idle connections long
 * before our 50 seconds: image/nginx/kept.c keeps that from costing requests.
 */
export const upstream = (name: string, servers: string[]): string =>
  block(`upstream ${name}`, [`zone ${name} 128k;`, ...servers, "keepalive 16;", "keepalive_timeout 50s;"]);

/** Three failures, not one: a single page that is always slow must not turn a whole site away from its origin. */
const firstOfSeveral = "max_fails=3 fail_timeout=10s";

/**
 * Several origins: the first is asked as long as it answers, the others stand in. One origin: an address of its name that is dead (an AAAA record behind a
 * firewall, for instance) is left alone for a minute after three failures, and costs a visitor the time to connect once a minute. The same name once
 * more as its own backup has no memory of failures: when all addresses fail, each request still asks.
 */
function originServers(all: Target[]): string[] {
  const server = ({ host, port, isAddress }: Target, parameters: string) =>
    `server ${host}:${port} ${isAddress ? "" : "resolve "}max_conns=${limits.originRequests} ${parameters};`;
  const [first, ...others] = all;
  if (first === undefined) return [];
  if (others.length > 0)
    return [server(first, firstOfSeveral), ...others.map((to) => server(to, "max_fails=0 backup"))];
  if (first.isAddress) return [server(first, "max_fails=0")];
  return [server(first, "max_fails=3 fail_timeout=60s"), server(first, "max_fails=0 backup")];
}

/**
 * Relays of a site whose origins differ in scheme or in the name on their certificate: a location has one of each, so each origin gets a server of nginx
 * itself on a Unix socket.
 */
export function relays(site: ProxySite): string[] {
  const all = targets(site);
  if (isUniform(site, all)) return [];
  return all.map((to) =>
    block("server", [
      `listen unix:${to.socket};`,
      "access_log off;",
      // What comes in has been judged; what goes out is compressed, kept and marked on the way on.
      "client_max_body_size 0;",
      // The visitor's headers and what they are told of it.
      `large_client_header_buffers 2 ${limits.headersKb + 2}k;`,
      "gzip off;",
      "gzip_vary off;",
      "brotli off;",
      "keepalive_timeout 60s;",
      block("location /", [
        ...passTo(site, to.scheme, to.name, certificateName(site, to)),
        ...times(site),
        "proxy_redirect off;",
        "proxy_pass_header X-Accel-Expires;",
        "proxy_pass_header X-Accel-Buffering;",
        "proxy_pass_header Date;",
        ...requestHeaders("$http_x_real_ip"),
      ]),
    ]),
  );
}

/** The location of a site that passes its requests on to origins. */
export function proxied(site: ProxySite): string[] {
  const all = targets(site);
  const [first] = all;
  if (first === undefined) throw new Error(`site ${site.host}: has no origin.`);
  const names = [...new Set([...all.map(({ host }) => host), site.host])];
  return [
    block("location /", [
      ...(isUniform(site, all)
        ? [
            ...passTo(site, first.scheme, groupName(site), certificateName(site, first)),
            ...times(site),
            ...(all.length > 1 ? standingIn(site) : []),
          ]
        : [`proxy_pass http://${groupName(site)};`, ...standingIn(site), ...relayTimes(site)]),
      ...bodyLimit(site),
      `proxy_redirect "~*^https?://(?:${names.map(literal).join("|")})(?::[0-9]+)?(?<rest>/.*)?$" https://${site.host}$rest;`,
      ...all.filter(({ isAddress }) => !isAddress).map(({ host }) => `proxy_cookie_domain ${host} ${site.host};`),
      ...(site.cache ? cached(site.host, site.cache) : buffering(site)),
      ...ownHeaders(site),
    ]),
  ];
}

/** Answers reach visitors as they come; buffered, the origin is sooner done with a slow visitor. */
export const buffering = ({ buffering }: Passing): string[] => (buffering ? ["proxy_buffering on;"] : []);

/** Headers of a location that passes requests on: with one of its own it loses what is said for all, so that is said again. */
export function ownHeaders({ headers = {} }: Pick<ProxySite, "headers">): string[] {
  const names = Object.keys(headers).toSorted();
  return names.length === 0 ? [] : [...hidden(names), ...marks, ...setHeaders(headers)];
}

export const bodyLimit = ({ host, maxBodyMb }: Passing & { host: string }): string[] =>
  maxBodyMb === undefined
    ? []
    : [`client_max_body_size ${whole(maxBodyMb, `${host}: maxBodyMb`, { min: 1, max: 1_048_576 })}m;`];

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
  /** Of an upstream block of its own. */
  name: string;
  /** Of its relay. Short, for a socket's path ends at 107 bytes; of the site's name, so that it stays when other sites come and go. */
  socket: string;
}

function targets(site: ProxySite): Target[] {
  const digest = createHash("sha256").update(site.host).digest("hex").slice(0, 16);
  return site.origins.map((url, at) => ({
    ...origin(url),
    name: `origin_${at}_${site.host}`,
    socket: `/run/nginx/${digest}-${at}.sock`,
  }));
}

const groupName = (site: ProxySite): string => `origin_${site.host}`;

/** Whether one location can ask all of them: by one scheme and, for https, under one name. */
function isUniform(site: ProxySite, all: Target[]): boolean {
  const ways = all.map((to) => `${to.scheme} ${to.scheme === "https" ? certificateName(site, to) : ""}`);
  return new Set(ways).size <= 1;
}

/** nginx cannot check a certificate against an address: then it has to be one for the site's own name. */
function certificateName(site: ProxySite, to: Target): string {
  const { serverName } = site.tls ?? {};
  if (serverName !== undefined) return hostName(serverName);
  return to.isAddress ? site.host : to.host;
}

/** From here to the servers of an upstream block. */
function passTo(site: ProxySite, scheme: Origin["scheme"], name: string, verified: string): string[] {
  return [
    `proxy_pass ${scheme}://${name};`,
    ...(scheme === "https"
      ? [
          `proxy_ssl_name ${verified};`,
          ...(site.tls?.ca === undefined ? [] : [`proxy_ssl_trusted_certificate /${originCaFile(site.host)};`]),
        ]
      : []),
  ];
}

/** From one origin to the next: not for requests that may have had an effect already (POST), nor once a part of a body was sent. */
function standingIn(site: ProxySite): string[] {
  const connect = site.timeouts?.connectSeconds ?? limits.connectSeconds;
  return [
    "proxy_next_upstream error timeout http_502 http_503 http_504;",
    // Time for each of them to be found dead, not for each to be slow.
    `proxy_next_upstream_timeout ${(connect + 1) * site.origins.length}s;`,
  ];
}

/** A relay's own times end first, and it says 504. */
function relayTimes(site: ProxySite): string[] {
  const connect = site.timeouts?.connectSeconds ?? limits.connectSeconds;
  const read = site.timeouts?.readSeconds ?? limits.readSeconds;
  return [`proxy_read_timeout ${connect + read + 1}s;`];
}
