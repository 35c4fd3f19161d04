import { limits } from "../limits.ts";
import type { ProxyOptions, ProxySite } from "../spec.ts";
import { requestedName, siteKey } from "./hosts.ts";
import { block } from "./nginx-block.ts";
import { cacheLines } from "./nginx-cache.ts";
import { hidden, marks, setHeaders } from "./nginx-common.ts";
import { clientBodyTimeout, grpcSchemes, isGrpc, type UpstreamProtocol, upstreamModule } from "./nginx-grpc.ts";
import { errorPages } from "./nginx-pages.ts";
import { rewriteRedirects, stripPrefix, strippedUri } from "./nginx-prefix.ts";
import { defaultPresetLines } from "./nginx-presets.ts";
import { allRequestFields, requestFields, upstreamHostNames } from "./nginx-requests.ts";
import { clientCertificate } from "./nginx-secrets.ts";
import { originServers, primaryParameters, upstream } from "./nginx-upstream.ts";
import { certificateName, isUniform, type ProxyPart, type Target, targets, upstreamName } from "./origins.ts";
import { boundedInt, type Origin } from "./validators.ts";

/**
 * How nginx reaches origins: through upstream blocks, which keep connections open and resolve names again while nginx runs (`resolve`), so that nginx
 * starts even if an origin is down. https://nginx.org/en/docs/http/ngx_http_upstream_module.html
 */

/** CA file of a site or a rule, in the image. */
export const originCaFile = (host: string, suffix = ""): string => `etc/pop/origin-ca/${siteKey(host)}${suffix}.pem`;

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
