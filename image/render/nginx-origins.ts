import { limits } from "../limits.ts";
import type { ProxyOptions, ProxySite } from "../spec.ts";
import { requestedName, siteDigest, siteKey } from "./hosts.ts";
import { block } from "./nginx-block.ts";
import { cacheLines } from "./nginx-cache.ts";
import { hidden, marks, setHeaders } from "./nginx-common.ts";
import { clientBodyTimeout, grpcSchemes, isGrpc, type UpstreamProtocol, upstreamModule } from "./nginx-grpc.ts";
import { errorPages } from "./nginx-pages.ts";
import { rewriteRedirects, stripPrefix, strippedUri } from "./nginx-prefix.ts";
import { defaultPresetLines } from "./nginx-presets.ts";
import { allRequestFields, requestFields, upstreamHostNames } from "./nginx-requests.ts";
import { clientCertificate } from "./nginx-secrets.ts";
import { boundedInt, hostName, type Origin, parseOrigin } from "./validators.ts";

/**
 * How nginx reaches origins: through upstream blocks, which keep connections open and resolve names again while nginx runs (`resolve`), so that nginx
 * starts even if an origin is down. https://nginx.org/en/docs/http/ngx_http_upstream_module.html
 */

/** A site, or a rule of one by path, that passes requests on to origins. */
export interface ProxyPart extends ProxySite {
  /** Suffix to the host in the names of the rule's upstreams. Absent: they are the site's. */
  suffix?: string;
  /** Path of the rule. Absent: this is the site itself. */
  path?: string;
  /** Prefix of the path that is removed for the origin, such as /api. */
  prefix?: string;
  /** No login is needed. */
  open?: true;
}

/** CA file of a site or a rule, in the image. */
export const originCaFile = (host: string, suffix = ""): string => `etc/pop/origin-ca/${siteKey(host)}${suffix}.pem`;

/** Suffix that tells a rule's upstreams from those of its site and of other rules. Empty: they are the site's. */
export function upstreamSuffix(rule: ProxyPart, site: ProxyPart | undefined): string {
  const originIdentity = (it: ProxyPart): string => {
    const { origins, protocol, tls, timeouts, prefix, hostHeader, requestHeaders } = it;
    // Relays have the timeouts of their location, and set the headers it would set.
    const forRelays = [timeouts ?? {}, prefix ?? "", hostHeader ?? "", requestHeaders ?? {}];
    return JSON.stringify([
      origins,
      tls ?? {},
      // Connections that are kept open have one protocol.
      ...(protocol === undefined ? [] : [protocol]),
      ...(isUniform(it, targets(it)) ? [] : forRelays),
    ]);
  };
  if (site && originIdentity(site) === originIdentity(rule)) return "";
  return `_${siteDigest(originIdentity(rule))}`;
}

/** Upstream blocks of a site: one for all its origins; or, with relays, one for each origin and one for the relays. */
export function originUpstreams(site: ProxyPart): string[] {
  const all = targets(site);
  if (isUniform(site, all)) return [upstream(upstreamName(site), originServers(all))];
  return [
    ...all.map((to) => upstream(to.name, originServers([to]))),
    upstream(
      upstreamName(site),
      // max_fails=0: a relay itself does not fail, and with all servers marked as failed nginx would answer 502 without trying any.
      all.map(({ socket }, at) => `server unix:${socket} ${at === 0 ? primaryParameters : "max_fails=0 backup"};`),
    ),
  ];
}

/**
 * An upstream block. Its zone is required for `resolve`, and shares the state of servers among workers. Many origins close idle connections long before
 * our 50 seconds; image/nginx/keepalive.c keeps that from costing requests.
 */
export const upstream = (name: string, servers: string[]): string =>
  block(`upstream ${name}`, [`zone ${name} 128k;`, ...servers, "keepalive 16;", "keepalive_timeout 50s;"]);

/** Three failures, not one: a single slow page must not take the whole site away from its origin. */
const primaryParameters = "max_fails=3 fail_timeout=10s";

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
    return [server(first, primaryParameters), ...others.map((to) => server(to, "max_fails=0 backup"))];
  if (first.isAddress) return [server(first, "max_fails=0")];
  return [server(first, "max_fails=3 fail_timeout=60s"), server(first, "max_fails=0 backup")];
}

/**
 * Relays of a site whose origins differ in scheme or in the name on their certificate. A location can have only one of each, so each origin gets an nginx
 * server of its own on a Unix socket.
 */
export function relayServers(site: ProxyPart): string[] {
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
        ...proxyPass(site, to.scheme, to.name, certificateName(site, to)),
        ...timeoutLines(site),
        "proxy_redirect off;",
        "proxy_pass_header X-Accel-Buffering;",
        "proxy_pass_header Date;",
        ...allRequestFields(site, "$http_x_real_ip"),
      ]),
      // An error that the relay itself reports; the site's server treats it as the origin's.
      ...errorPages(site),
    ]),
  );
}

/** Directives of a location that passes requests on to origins. */
export function proxyLines(site: ProxyPart): string[] {
  const all = targets(site);
  const [first] = all;
  if (first === undefined) throw new Error(`site ${site.host}: has no origin.`);
  if (isGrpc(site)) return grpcLines(site, all, first);
  const originNames = [...new Set([...all.map(({ host }) => host), ...upstreamHostNames(site)])];
  return [
    ...stripPrefix(site),
    ...(isUniform(site, all)
      ? [
          ...proxyPass(site, first.scheme, `${upstreamName(site)}${strippedUri(site)}`, certificateName(site, first)),
          ...timeoutLines(site),
          ...(all.length > 1 ? failover(site) : []),
          ...requestFields(site),
        ]
      : // The relays set the rest.
        [`proxy_pass http://${upstreamName(site)}${strippedUri(site)};`, ...failover(site), ...relayTimeouts(site)]),
    ...bodyLimit(site),
    ...rewriteRedirects(site, originNames),
    ...[...all.filter(({ isAddress }) => !isAddress).map(({ host }) => host), ...upstreamHostNames(site)].map(
      (host) => `proxy_cookie_domain ${host} ${requestedName(site)};`,
    ),
    ...(site.cache ? cacheLines(site, site.cache) : buffering(site)),
    ...responseHeaders(site),
  ];
}

/** Directives of a location with gRPC origins. */
function grpcLines(site: ProxyPart, all: Target[], first: Target): string[] {
  if (!isUniform(site, all)) throw new Error(`site ${site.host}: gRPC origins must have the same scheme and name.`);
  return [
    ...proxyPass(site, first.scheme, upstreamName(site), certificateName(site, first)),
    ...timeoutLines(site),
    ...clientBodyTimeout(site),
    ...(all.length > 1 ? failover(site) : []),
    ...requestFields(site),
    ...bodyLimit(site),
    ...responseHeaders(site),
  ];
}

/** By default responses are passed on as they arrive; buffering keeps slow visitors from occupying the origin. */
export const buffering = ({ buffering }: ProxyOptions): string[] => (buffering ? ["proxy_buffering on;"] : []);

/** Header directives of a location that passes requests on. If a location has any of its own, it inherits none, so the inherited ones are repeated. */
export function responseHeaders(site: Pick<ProxySite, "headers" | "hsts" | "securityHeaders" | "protocol">): string[] {
  const { headers = {} } = site;
  const names = Object.keys(headers).toSorted();
  const presets = defaultPresetLines(site);
  return names.length + presets.length === 0
    ? []
    : [...(names.length > 0 ? hidden(names, upstreamModule(site)) : []), ...marks, ...setHeaders(headers), ...presets];
}

export const bodyLimit = ({ host, maxBodyMb }: ProxyOptions & { host: string }): string[] =>
  maxBodyMb === undefined
    ? []
    : [`client_max_body_size ${boundedInt(maxBodyMb, `${host}: maxBodyMb`, { min: 1, max: 1_048_576 })}m;`];

/** Timeouts of one connection to the origin or luggage, if the site sets any. */
export function timeoutLines(site: ProxyOptions & UpstreamProtocol & { host: string }): string[] {
  const { host, timeouts = {} } = site;
  const bounds = { min: 1, max: 86_400 };
  return (["connect", "send", "read"] as const).flatMap((which) => {
    const seconds = timeouts[`${which}Seconds`];
    return seconds === undefined
      ? []
      : [
          `${upstreamModule(site)}_${which}_timeout ${boundedInt(seconds, `${host}: timeouts.${which}Seconds`, bounds)}s;`,
        ];
  });
}

interface Target extends Origin {
  /** Name of the origin's own upstream block. */
  name: string;
  /**
   * Socket of its relay. Short, because socket paths are limited to 107 bytes. Derived from the site's name, so that it does not change when other sites are
   * added or removed.
   */
  socket: string;
}

function targets(site: Pick<ProxyPart, "host" | "origins" | "suffix">): Target[] {
  const name = `${siteKey(site.host)}${site.suffix ?? ""}`;
  const digest = siteDigest(`${site.host}${site.suffix ?? ""}`);
  return site.origins.map((url, at) => ({
    ...parseOrigin(url),
    name: `origin_${at}_${name}`,
    socket: `/run/nginx/${digest}-${at}.sock`,
  }));
}

export const upstreamName = (site: ProxyPart): string => `origin_${siteKey(site.host)}${site.suffix ?? ""}`;

/** Whether one location can use all origins: they have the same scheme and, for https, the same name. */
export const hasUniformOrigins = (site: Pick<ProxySite, "host" | "origins" | "tls">): boolean =>
  isUniform(site, targets(site));

function isUniform(site: Pick<ProxySite, "host" | "tls">, all: Target[]): boolean {
  const tlsNames = all.map((to) => `${to.scheme} ${to.scheme === "https" ? certificateName(site, to) : ""}`);
  return new Set(tlsNames).size <= 1;
}

/** nginx cannot verify a certificate against an address, so an origin with an address needs one for the site's own name. */
function certificateName(site: Pick<ProxySite, "host" | "tls">, to: Target): string {
  const { serverName } = site.tls ?? {};
  if (serverName !== undefined) return hostName(serverName);
  return to.isAddress ? hostName(site.host) : to.host;
}

/** Passes requests to an upstream block. */
function proxyPass(site: ProxyPart, scheme: Origin["scheme"], name: string, verifiedName: string): string[] {
  const by = upstreamModule(site);
  return [
    `${by}_pass ${isGrpc(site) ? grpcSchemes[scheme] : scheme}://${name};`,
    ...(scheme === "https"
      ? [
          `${by}_ssl_name ${verifiedName};`,
          ...clientCertificate(site, by),
          ...(site.tls?.ca === undefined
            ? []
            : [`${by}_ssl_trusted_certificate /${originCaFile(site.host, site.suffix)};`]),
        ]
      : []),
  ];
}

/** Failover to the next origin: not for requests that may already have had an effect (POST), nor once part of a body was sent. */
function failover(site: ProxySite): string[] {
  const connect = site.timeouts?.connectSeconds ?? limits.connectSeconds;
  return [
    `${upstreamModule(site)}_next_upstream error timeout http_502 http_503 http_504;`,
    // Time for each to fail to connect, not for each to be slow.
    `${upstreamModule(site)}_next_upstream_timeout ${(connect + 1) * site.origins.length}s;`,
  ];
}

/** The relay's own timeouts must expire first; it then responds with 504. */
function relayTimeouts(site: ProxySite): string[] {
  const connect = site.timeouts?.connectSeconds ?? limits.connectSeconds;
  const read = site.timeouts?.readSeconds ?? limits.readSeconds;
  return [`proxy_read_timeout ${connect + read + 1}s;`];
}
