import { workerConnections } from "../limits.ts";
import { ports } from "../ports.ts";
import type { FilesSite, ImageSpec, LuggageSite, Site } from "../spec.ts";
import { challengeSocket, isOrdered } from "./acme.ts";
import { assertUniqueNames, certificateMaps, certificateOf, namesOf, requestedName, siteKey } from "./hosts.ts";
import { accessMaps, serverAccess } from "./nginx-access.ts";
import { authLines, authMaps } from "./nginx-auth.ts";
import { block, text } from "./nginx-block.ts";
import { cacheStore } from "./nginx-cache.ts";
import { bounds, compressed, compression, general, logging, proxying, tls } from "./nginx-common.ts";
import { controlServer } from "./nginx-control.ts";
import { grpcDefaults, grpcErrors } from "./nginx-grpc.ts";
import { limitLines, limitsOf, limitZones } from "./nginx-limits.ts";
import { isForward, loginLocation, loginUpstreams } from "./nginx-login.ts";
import { luggagePort } from "./nginx-luggage.ts";
import { maintenance } from "./nginx-maintenance.ts";
import {
  bodyLimit,
  buffering,
  originUpstreams,
  proxyLines,
  relayServers,
  responseHeaders,
  timeoutLines,
} from "./nginx-origins.ts";
import { errorPages, pageMaps, robots } from "./nginx-pages.ts";
import { passThroughHttpServers, tlsListen } from "./nginx-pass-through.ts";
import {
  assetLocations,
  fileHeaders,
  hiddenFiles,
  pathLocations,
  pathMaps,
  precompressed,
  redirectLines,
} from "./nginx-paths.ts";
import { rewriteRedirects, stripPrefix, strippedUri, useNormalizedPath } from "./nginx-prefix.ts";
import { presetMaps } from "./nginx-presets.ts";
import { requestFields, upstreamHostNames } from "./nginx-requests.ts";
import { secretsVariable, secretVariables } from "./nginx-secrets.ts";
import { streamBlock, streamModules } from "./nginx-stream.ts";
import { upstream } from "./nginx-upstream.ts";
import { userHttpLines, userServerLines } from "./nginx-user-files.ts";
import { type ProxyPart, upstreamName } from "./origins.ts";
import { accessOf, partsOf, type SitePart } from "./site-parts.ts";

/** nginx.conf: terminates TLS, caches and proxies. Directives: https://nginx.org/en/docs/dirindex.html */
export function nginxConf(
  spec: Pick<ImageSpec, "sites" | "passThrough" | "luggage" | "cache" | "ports" | "logs" | "nginx">,
): string {
  assertUniqueNames(spec);
  const sites = spec.sites.toSorted(byHost);
  const defaultSite = sites.find((site) => site.default === true);
  const parts = sites.flatMap(partsOf);
  const origins = distinctOrigins(parts);
  const listen = tlsListen(spec);
  return text([
    "load_module /usr/lib/nginx/modules/ngx_http_brotli_filter_module.so;",
    "load_module /usr/lib/nginx/modules/ngx_http_brotli_static_module.so;",
    // Loaded last, so that its filter sees responses first.
    "load_module /usr/lib/nginx/modules/ngx_http_pop_cache_module.so;",
    ...streamModules(spec),
    // process-compose starts nginx through runas. Neither master nor workers run as root, so there is no user to change to.
    "daemon off;",
    // A path is compared with the rules of its site one after another.
    ...(sites.some((site) => site.paths) ? ["pcre_jit on;"] : []),
    "worker_processes auto;",
    `worker_rlimit_nofile ${2 * workerConnections};`,
    `worker_shutdown_timeout ${drainSeconds}s;`,
    "pid /run/nginx/nginx.pid;",
    "error_log stderr warn;",
    "",
    block("events", [`worker_connections ${workerConnections};`]),
    "",
    block("http", [
      ...general,
      "",
      ...logging(spec.logs),
      "",
      ...tls,
      "",
      ...compression,
      "",
      ...bounds,
      ...limitZones(limitsOf(parts)),
      ...new Set([...accessMaps(parts.flatMap((part) => accessOf(part) ?? [])), ...authMaps(sites)]),
      "",
      ...proxying,
      ...grpcDefaults(parts),
      "",
      ...cacheStore(spec.cache, parts),
      ...pathMaps(sites),
      "",
      ...pageMaps,
      ...presetMaps(parts),
      ...secretVariables(parts),
      ...secretsVariable(parts),
      "",
      ...upstreams(origins, parts, spec.luggage),
      ...loginUpstreams(sites),
      "",
      statusServer,
      "",
      ...controlServer(parts),
      ...(defaultSite ? [] : [...unknownHostServers(listen), ""]),
      ...certificateMaps(sites),
      ...httpServers(sites),
      ...passThroughHttpServers(spec),
      ...origins.flatMap(relayServers),
      ...sites.map((site) => server(site, listen, userServerLines(site, spec.nginx))),
      ...userHttpLines(spec.nginx),
    ]),
    ...streamBlock(spec),
  ]);
}

/** Seconds that a worker waits for open requests, including WebSockets, after it got the signal to quit. The stop timeout of the process is longer. */
export const drainSeconds = 15;

const byHost = (a: Site, b: Site): number => (a.host < b.host ? -1 : a.host > b.host ? 1 : 0);

/** Each set of origins once: rules may share origins with their site or with other rules. */
function distinctOrigins(parts: SitePart[]): ProxyPart[] {
  const passed = parts.filter((part) => part.kind === "proxy");
  return [...new Map(passed.map((part) => [upstreamName(part), part] as const).toReversed()).values()].toReversed();
}

function upstreams(origins: ProxyPart[], parts: SitePart[], luggage: ImageSpec["luggage"]): string[] {
  const served = parts.filter((part) => part.kind === "luggage").map((part) => part.luggage);
  return [
    ...origins.flatMap(originUpstreams),
    ...[...new Set(served)]
      .toSorted()
      .map((name) => upstream(luggageUpstream(name), [`server 127.0.0.1:${luggagePort(luggage, name)} max_fails=0;`])),
  ];
}

const luggageUpstream = (name: string): string => `luggage_${name}`;

/** For process-compose and `pop health`, from inside the machine. */
const statusServer = block("server", [
  `listen 127.0.0.1:${ports.nginxStatus};`,
  "access_log off;",
  block("location = /healthz", ["default_type text/plain;", `return 200 "ok\\n";`]),
  block("location = /status", ["stub_status;"]),
  block("location /", ["return 404;"]),
]);

const defaultServer = " default_server backlog=4096";

/** Names that are not in the stack file get no certificate, and 421 over plain HTTP. */
const unknownHostServers = (listen: string): string[] => [
  block("server", [`listen ${ports.http} proxy_protocol${defaultServer};`, "server_name _;", "return 421;"]),
  block("server", [`listen ${listen}${defaultServer};`, "server_name _;", "ssl_reject_handshake on;", "return 421;"]),
];

/** Plain HTTP: one server for names whose challenges a CA requests, one for all others. */
function httpServers(sites: Site[]): string[] {
  const [acmeSites, others] = [sites.filter(isOrdered), sites.filter((site) => !isOrdered(site))];
  return [
    ...(acmeSites.length > 0
      ? [httpServer(acmeSites, [challengeLocation, block("location /", [`return ${httpsUrl};`])]), ""]
      : []),
    ...(others.length > 0 ? [httpServer(others, [`return ${httpsUrl};`]), ""] : []),
  ];
}

const httpsUrl = "301 https://$host$request_uri";

const httpServer = (sites: Site[], lines: string[]): string =>
  block("server", [
    `listen ${ports.http} proxy_protocol${sites.some((site) => site.default === true) ? defaultServer : ""};`,
    ...sites.flatMap(namesOf).map((host) => `server_name ${host};`),
    ...lines,
  ]);

/** To `pop certs`, which asks the other PoPs if it does not know the answer itself (image/pop/acme). */
const challengeLocation = block("location ^~ /.well-known/acme-challenge/", [
  `proxy_pass http://unix:${challengeSocket};`,
  "proxy_connect_timeout 1s;",
  "proxy_read_timeout 8s;",
  "client_max_body_size 1k;",
]);

/**
 * @param listen the `listen` parameters
 * @param own the user's lines
 */
function server(site: Site, listen: string, own: string[]): string {
  return block("server", [
    `listen ${listen}${site.default ? defaultServer : ""};`,
    ...namesOf(site).map((name) => `server_name ${name};`),
    // With a variable in the path, nginx reads the certificate during the handshake, so a new one is used without a reload.
    `ssl_certificate $certificates/${certificateOf(site)}.pem;`,
    `ssl_certificate_key $certificates/${certificateOf(site)}.pem;`,
    ...(site.access ? serverAccess(site.access) : []),
    ...(site.auth ? authLines(site.auth) : []),
    ...(site.limit ? limitLines(site, site.limit) : []),
    ...compressed(site),
    ...maintenance(site),
    ...grpcErrors(partsOf(site)),
    ...(isForward(site.auth) ? [...(site.paths ? [] : [useNormalizedPath]), loginLocation(site.auth)] : []),
    ...siteContent(site),
    ...robots(site),
    // A site that only redirects has none: its redirect would also apply to their location.
    ...(site.kind === "redirect" && !site.paths ? [] : errorPages(site)),
    ...own,
  ]);
}

function siteContent(site: Site): string[] {
  if (site.paths) return pathLocations(site, proxyOrLuggageLines);
  if (site.kind === "redirect") return redirectLines(site);
  return site.kind === "files" ? fileSite(site) : [block("location /", proxyOrLuggageLines(site))];
}

/** Directives of a location that passes requests on. */
const proxyOrLuggageLines = (part: ProxyPart | LuggageSite): string[] =>
  part.kind === "proxy" ? proxyLines(part) : luggageLines(part);

/** Hidden files are not served. */
const fileSite = (site: FilesSite): string[] => [
  "charset utf-8;",
  `root /srv/sites/${siteKey(site.host)};`,
  "index index.html;",
  "if_modified_since off;",
  ...precompressed(site),
  ...fileHeaders(site),
  block("location /", [`try_files $uri $uri.html ${site.spa ? "$uri/index.html /index.html" : "$uri/ =404"};`]),
  ...hiddenFiles,
  ...(site.spa ? assetLocations : []),
];

const luggageLines = (site: LuggageSite & { prefix?: string }): string[] => [
  ...stripPrefix(site),
  `proxy_pass http://${luggageUpstream(site.luggage)}${strippedUri(site)};`,
  ...rewriteRedirects(site, upstreamHostNames(site)),
  ...upstreamHostNames(site).map((name) => `proxy_cookie_domain ${name} ${requestedName(site)};`),
  ...requestFields(site),
  ...bodyLimit(site),
  ...timeoutLines(site),
  ...buffering(site),
  ...responseHeaders(site),
];
