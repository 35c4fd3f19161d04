import { limits } from "../limits.ts";
import type { ProxyOptions, ProxySite } from "../spec.ts";
import { requestedName, siteDigest, siteKey } from "./hosts.ts";
import { boundedInt, hostName, type Origin, parseOrigin } from "./names.ts";
import { block } from "./nginx-block.ts";
import { cached } from "./nginx-cache.ts";
import { hidden, marks, setHeaders } from "./nginx-common.ts";
import { type Asked, asking, clientSilence, grpcSchemes, isGrpc } from "./nginx-grpc.ts";
import { errorPages } from "./nginx-pages.ts";
import { ownRedirects, stripped, strippedUri } from "./nginx-prefix.ts";
import { offeredPresets } from "./nginx-presets.ts";
import { allRequestFields, namesBehind, requestFields } from "./nginx-requests.ts";
import { clientCertificate } from "./nginx-secrets.ts";

/**
 * How nginx reaches origins: through upstream blocks, which keep connections open and resolve names again while nginx runs (`resolve`), so that nginx
 * starts even if an origin is down. https://nginx.org/en/docs/http/ngx_http_upstream_module.html
 */

/** A site, or a rule of one by path, that passes requests on to origins. */
export interface Proxied extends ProxySite {
  /** What the rule's origins are named by, if they are not the site's: added to the host. */
  own?: string;
  /** Of a rule. */
  path?: string;
  /** What the origin does not see of the path, as in /api. */
  prefix?: string;
  /** Nobody has to log in. */
  open?: true;
}

/** Where a site's own authorities lie in the image, or a rule's. */
export const originCaFile = (host: string, own = ""): string => `etc/pop/origin-ca/${siteKey(host)}${own}.pem`;

/** What tells a rule's origins from those of its site and of other rules. Empty: they are the site's. */
export function ownOrigins(rule: Proxied, site: Proxied | undefined): string {
  const identity = (it: Proxied): string => {
    const { origins, protocol, tls, timeouts, prefix, hostHeader, requestHeaders } = it;
    // A relay has the timeouts of its location, and says what its location would.
    const said = [timeouts ?? {}, prefix ?? "", hostHeader ?? "", requestHeaders ?? {}];
    return JSON.stringify([
      origins,
      tls ?? {},
      // Connections that are kept speak one protocol.
      ...(protocol === undefined ? [] : [protocol]),
      ...(isUniform(it, targets(it)) ? [] : said),
    ]);
  };
  if (site && identity(site) === identity(rule)) return "";
  return `_${siteDigest(identity(rule))}`;
}

/** Upstream blocks of a site: one for all its origins, or one for each and one of their relays. */
export function originUpstreams(site: Proxied): string[] {
  const all = targets(site);
  if (isUniform(site, all)) return [upstream(groupName(site), originServers(all))];
  return [
    ...all.map((to) => upstream(to.name, originServers([to]))),
    upstream(
      groupName(site),
      // max_fails=0: a relay itself does not fail, and with all servers marked as failed nginx would answer 502 without trying any.
      all.map(({ socket }, at) => `server unix:${socket} ${at === 0 ? firstOfSeveral : "max_fails=0 backup"};`),
    ),
  ];
}

/**
 * An upstream block. Its zone is required for `resolve`, and shares the state of servers among workers. Many origins close idle connections long before
 * our 50 seconds; image/nginx/kept.c keeps that from costing requests.
 */
export const upstream = (name: string, servers: string[]): string =>
  block(`upstream ${name}`, [`zone ${name} 128k;`, ...servers, "keepalive 16;", "keepalive_timeout 50s;"]);

/** Three failures, not one: a single slow page must not take the whole site away from its origin. */
const firstOfSeveral = "max_fails=3 fail_timeout=10s";

/**
 * Several origins: the first is used as long as it responds, the others are backups. One origin: a dead address of its name (an AAAA record behind a
 * firewall, for instance) is skipped for a minute after three failures, so it costs a visitor the connect timeout at most once a minute. The same name is also
 * its own backup, without failure counting: if all addresses fail, each request still tries them.
 */
export function originServers(all: Origin[]): string[] {
  const server = ({ host, port, isAddress }: Origin, parameters: string) =>
    `server ${host}:${port} ${isAddress ? "" : "resolve "}max_conns=${limits.originRequests} ${parameters};`;
  const [first, ...others] = all;
  if (first === undefined) return [];
  if (others.length > 0)
    return [server(first, firstOfSeveral), ...others.map((to) => server(to, "max_fails=0 backup"))];
  if (first.isAddress) return [server(first, "max_fails=0")];
  return [server(first, "max_fails=3 fail_timeout=60s"), server(first, "max_fails=0 backup")];
}

/**
 * Relays of a site whose origins differ in scheme or in the name on their certificate. A location can have only one of each, so each origin gets an nginx
 * server of its own on a Unix socket.
 */
export function relays(site: Proxied): string[] {
  const all = targets(site);
  if (isUniform(site, all)) return [];
  return all.map((to) =>
    block("server", [
      `listen unix:${to.socket};`,
      "access_log off;",
      // The site's own server has checked the request, and will compress, store and mark the response.
      "client_max_body_size 0;",
      // The visitor's header, and the fields added to it.
      `large_client_header_buffers 2 ${limits.headersKb + 2}k;`,
      "gzip off;",
      "gzip_vary off;",
      "brotli off;",
      "keepalive_timeout 60s;",
      block("location /", [
        ...passTo(site, to.scheme, to.name, certificateName(site, to)),
        ...times(site),
        "proxy_redirect off;",
        "proxy_pass_header X-Accel-Buffering;",
        "proxy_pass_header Date;",
        ...allRequestFields(site, "$http_x_real_ip"),
      ]),
      // An error of nginx's own, which the site's server takes for the origin's.
      ...errorPages(site),
    ]),
  );
}

/** Lines of a location that passes requests on to origins. */
export function proxied(site: Proxied): string[] {
  const all = targets(site);
  const [first] = all;
  if (first === undefined) throw new Error(`site ${site.host}: has no origin.`);
  if (isGrpc(site)) return called(site, all, first);
  const behind = [...new Set([...all.map(({ host }) => host), ...namesBehind(site)])];
  return [
    ...stripped(site),
    ...(isUniform(site, all)
      ? [
          ...passTo(site, first.scheme, `${groupName(site)}${strippedUri(site)}`, certificateName(site, first)),
          ...times(site),
          ...(all.length > 1 ? standingIn(site) : []),
          ...requestFields(site),
        ]
      : // Its relays say the rest.
        [`proxy_pass http://${groupName(site)}${strippedUri(site)};`, ...standingIn(site), ...relayTimes(site)]),
    ...bodyLimit(site),
    ...ownRedirects(site, behind),
    ...[...all.filter(({ isAddress }) => !isAddress).map(({ host }) => host), ...namesBehind(site)].map(
      (host) => `proxy_cookie_domain ${host} ${requestedName(site)};`,
    ),
    ...(site.cache ? cached(site, site.cache) : buffering(site)),
    ...ownHeaders(site),
  ];
}

/** Lines of a location whose origins are asked by gRPC. */
function called(site: Proxied, all: Target[], first: Target): string[] {
  if (!isUniform(site, all)) throw new Error(`site ${site.host}: origins asked by gRPC are of one scheme and name.`);
  return [
    ...passTo(site, first.scheme, groupName(site), certificateName(site, first)),
    ...times(site),
    ...clientSilence(site),
    ...(all.length > 1 ? standingIn(site) : []),
    ...requestFields(site),
    ...bodyLimit(site),
    ...ownHeaders(site),
  ];
}

/** By default responses are passed on as they arrive; buffering keeps slow visitors from occupying the origin. */
export const buffering = ({ buffering }: ProxyOptions): string[] => (buffering ? ["proxy_buffering on;"] : []);

/** Header directives of a location that passes requests on. One of its own replaces all inherited ones, so those are repeated. */
export function ownHeaders(site: Pick<ProxySite, "headers" | "hsts" | "securityHeaders" | "protocol">): string[] {
  const { headers = {} } = site;
  const names = Object.keys(headers).toSorted();
  const presets = offeredPresets(site);
  return names.length + presets.length === 0
    ? []
    : [...(names.length > 0 ? hidden(names, asking(site)) : []), ...marks, ...setHeaders(headers), ...presets];
}

export const bodyLimit = ({ host, maxBodyMb }: ProxyOptions & { host: string }): string[] =>
  maxBodyMb === undefined
    ? []
    : [`client_max_body_size ${boundedInt(maxBodyMb, `${host}: maxBodyMb`, { min: 1, max: 1_048_576 })}m;`];

/** Timeouts of one connection to the origin or luggage, if the site sets any. */
export function times(site: ProxyOptions & Asked & { host: string }): string[] {
  const { host, timeouts = {} } = site;
  const bounds = { min: 1, max: 86_400 };
  return (["connect", "send", "read"] as const).flatMap((which) => {
    const seconds = timeouts[`${which}Seconds`];
    return seconds === undefined
      ? []
      : [`${asking(site)}_${which}_timeout ${boundedInt(seconds, `${host}: timeouts.${which}Seconds`, bounds)}s;`];
  });
}

interface Target extends Origin {
  /** Of an upstream block of its own. */
  name: string;
  /** Of its relay. Short, for a socket's path ends at 107 bytes; of the site's name, so that it stays when other sites come and go. */
  socket: string;
}

function targets(site: Pick<Proxied, "host" | "origins" | "own">): Target[] {
  const name = `${siteKey(site.host)}${site.own ?? ""}`;
  const digest = siteDigest(`${site.host}${site.own ?? ""}`);
  return site.origins.map((url, at) => ({
    ...parseOrigin(url),
    name: `origin_${at}_${name}`,
    socket: `/run/nginx/${digest}-${at}.sock`,
  }));
}

export const groupName = (site: Proxied): string => `origin_${siteKey(site.host)}${site.own ?? ""}`;

/** Whether one location can ask all origins: by one scheme and, for https, under one name. */
export const isOfOneKind = (site: Pick<ProxySite, "host" | "origins" | "tls">): boolean =>
  isUniform(site, targets(site));

function isUniform(site: Pick<ProxySite, "host" | "tls">, all: Target[]): boolean {
  const ways = all.map((to) => `${to.scheme} ${to.scheme === "https" ? certificateName(site, to) : ""}`);
  return new Set(ways).size <= 1;
}

/** nginx cannot check a certificate against an address: then it has to be one for the site's own name. */
function certificateName(site: Pick<ProxySite, "host" | "tls">, to: Target): string {
  const { serverName } = site.tls ?? {};
  if (serverName !== undefined) return hostName(serverName);
  return to.isAddress ? hostName(site.host) : to.host;
}

/** From here to the servers of an upstream block. */
function passTo(site: Proxied, scheme: Origin["scheme"], name: string, verified: string): string[] {
  const by = asking(site);
  return [
    `${by}_pass ${isGrpc(site) ? grpcSchemes[scheme] : scheme}://${name};`,
    ...(scheme === "https"
      ? [
          `${by}_ssl_name ${verified};`,
          ...clientCertificate(site, by),
          ...(site.tls?.ca === undefined
            ? []
            : [`${by}_ssl_trusted_certificate /${originCaFile(site.host, site.own)};`]),
        ]
      : []),
  ];
}

/** Failover to the next origin: not for requests that may already have had an effect (POST), nor once part of a body was sent. */
function standingIn(site: ProxySite): string[] {
  const connect = site.timeouts?.connectSeconds ?? limits.connectSeconds;
  return [
    `${asking(site)}_next_upstream error timeout http_502 http_503 http_504;`,
    // Enough for each to fail to connect, not for each to be slow.
    `${asking(site)}_next_upstream_timeout ${(connect + 1) * site.origins.length}s;`,
  ];
}

/** The relay's own timeouts must expire first; it then responds with 504. */
function relayTimes(site: ProxySite): string[] {
  const connect = site.timeouts?.connectSeconds ?? limits.connectSeconds;
  const read = site.timeouts?.readSeconds ?? limits.readSeconds;
  return [`proxy_read_timeout ${connect + read + 1}s;`];
}
