import { workerConnections } from "../limits.ts";
import { ports } from "../ports.ts";
import type { FilesSite, ImageSpec, LuggageSite, RedirectSite, Site } from "../spec.ts";
import { certificateMaps, certificateOf, checkNames, nameAsked, namesOf, ownRedirects, siteKey } from "./hosts.ts";
import { type Origin, origin, originUrl, whole } from "./names.ts";
import { block, text } from "./nginx-block.ts";
import { cacheStore } from "./nginx-cache.ts";
import { bounds, compression, general, logging, marks, proxying, setHeaders, tls } from "./nginx-common.ts";
import {
  bodyLimit,
  buffering,
  originUpstreams,
  ownHeaders,
  proxied,
  relays,
  times,
  upstream,
} from "./nginx-origins.ts";
import { errorPages, pageMaps, robots } from "./nginx-pages.ts";
import { presetMaps, setPresets } from "./nginx-presets.ts";
import { namesBehind, towardsOrigin } from "./nginx-requests.ts";

/** nginx.conf: ends TLS, caches, passes on. Directives: https://nginx.org/en/docs/dirindex.html */
export function nginxConf(spec: Pick<ImageSpec, "sites" | "luggage" | "cache">): string {
  checkNames(spec);
  const sites = spec.sites.toSorted(byHost);
  const hosts = sites.flatMap(namesOf);
  const other = sites.find((site) => site.default === true);
  return text([
    "load_module /usr/lib/nginx/modules/ngx_http_brotli_filter_module.so;",
    "load_module /usr/lib/nginx/modules/ngx_http_brotli_static_module.so;",
    // Loaded last, so that its filter sees responses first.
    "load_module /usr/lib/nginx/modules/ngx_http_pop_cache_module.so;",
    // process-compose starts it through runas: it is not root, neither master nor worker, and has no user to change to.
    "daemon off;",
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
      ...logging,
      "",
      ...tls,
      "",
      ...compression,
      "",
      ...bounds,
      "",
      ...proxying,
      "",
      ...cacheStore(spec.cache, sites),
      "",
      ...pageMaps,
      ...presetMaps(sites),
      "",
      ...upstreams(sites, spec.luggage),
      "",
      privateServer,
      "",
      ...(other ? [] : [...unknownNames, ""]),
      ...certificateMaps(sites),
      ...(hosts.length ? [toHttps(hosts, other !== undefined), ""] : []),
      ...sites.filter((site) => site.kind === "proxy").flatMap(relays),
      ...sites.map(server),
    ]),
  ]);
}

/** What a worker that was told to quit still waits for open requests, WebSockets among them. The kill timeout of its process lies above. */
export const drainSeconds = 15;

const byHost = (a: Site, b: Site): number => (a.host < b.host ? -1 : a.host > b.host ? 1 : 0);

function upstreams(sites: Site[], luggage: ImageSpec["luggage"]): string[] {
  const served = sites.filter((site) => site.kind === "luggage").map((site) => site.luggage);
  return [
    ...sites.filter((site) => site.kind === "proxy").flatMap(originUpstreams),
    ...[...new Set(served)]
      .toSorted()
      .map((name) => upstream(luggageName(name), [`server 127.0.0.1:${luggagePort(luggage, name)} max_fails=0;`])),
  ];
}

const luggageName = (name: string): string => `luggage_${name}`;

function luggagePort(luggage: ImageSpec["luggage"], name: string): number {
  const port = luggage[name]?.port;
  if (port === undefined)
    throw new Error(`luggage ${JSON.stringify(name)}: a site is served by it, but it has no port.`);
  return whole(port, `luggage.${name}.port`, { min: 1024, max: 65535 });
}

/** Asked by process-compose and `pop health` from inside the machine. */
const privateServer = block("server", [
  `listen 127.0.0.1:${ports.nginxStatus};`,
  "access_log off;",
  block("location = /healthz", ["default_type text/plain;", `return 200 "ok\\n";`]),
  block("location = /status", ["stub_status;"]),
  block("location /", ["return 404;"]),
]);

/** Names that are not in the stack file get no certificate, and 421 over plain HTTP. */
const defaultServer = " default_server backlog=4096";

const unknownNames = [
  block("server", [`listen ${ports.http} proxy_protocol${defaultServer};`, "server_name _;", "return 421;"]),
  block("server", [
    `listen ${ports.https} ssl proxy_protocol${defaultServer};`,
    "server_name _;",
    "ssl_reject_handshake on;",
    "return 421;",
  ]),
];

const toHttps = (hosts: string[], isDefault: boolean): string =>
  block("server", [
    `listen ${ports.http} proxy_protocol${isDefault ? defaultServer : ""};`,
    ...hosts.map((host) => `server_name ${host};`),
    "return 301 https://$host$request_uri;",
  ]);

function server(site: Site): string {
  return block("server", [
    `listen ${ports.https} ssl proxy_protocol${site.default ? defaultServer : ""};`,
    ...namesOf(site).map((name) => `server_name ${name};`),
    // A variable in the path makes nginx read the pair during the handshake, so a new one is used without a reload.
    `ssl_certificate $certificates/${certificateOf(site)}.pem;`,
    `ssl_certificate_key $certificates/${certificateOf(site)}.pem;`,
    ...content(site),
    // A redirect answers everything before an error could come of it.
    ...(site.kind === "redirect" ? [] : [...robots(site), ...errorPages(site)]),
  ]);
}

function content(site: Site): string[] {
  switch (site.kind) {
    case "proxy":
      return proxied(site);
    case "redirect":
      return redirected(site);
    case "files":
      return packed(site);
    case "luggage":
      return carried(site);
    default:
      return site satisfies never;
  }
}

const redirected = (site: RedirectSite): string[] => {
  const to: Origin = origin(site.to);
  const headers = [...setHeaders(site.headers ?? {}), ...setPresets(site)];
  return [...(headers.length > 0 ? [...marks, ...headers] : []), `return 301 ${originUrl(to)}$request_uri;`];
};

/**
 * Times of packed files mean nothing (the build fixes them, by content), so what tells versions apart is the ETag alone.
 * Dot files stay where they are.
 */
const packed = (site: FilesSite): string[] => [
  "charset utf-8;",
  `root /srv/sites/${siteKey(site.host)};`,
  "index index.html;",
  "if_modified_since off;",
  "gzip_static on;",
  "brotli_static on;",
  `add_header Last-Modified "";`,
  ...(Object.keys(site.headers ?? {}).some((name) => name.toLowerCase() === "cache-control")
    ? []
    : ["add_header Cache-Control no-cache;"]),
  "add_header X-PoP $pop always;",
  ...setHeaders(site.headers ?? {}),
  ...setPresets(site),
  ...(site.spa
    ? [
        block("location /", ["try_files $uri $uri.html $uri/index.html /index.html;"]),
        // Well-known paths, and what a page of an earlier version still asks for, are there or not.
        block("location ^~ /.well-known/", ["try_files $uri =404;"]),
      ]
    : [block("location /", ["try_files $uri $uri.html $uri/ =404;"])]),
  block("location ~ /\\.(?!well-known/)", ["return 404;"]),
  ...(site.spa ? [block(`location ~* \\.(?:${assets})$`, ["try_files $uri =404;"])] : []),
];

/** Endings of what pages are made of. An application's own paths may have a dot too, as in /users/jane.doe. */
const assets =
  "avif|bmp|css|eot|gif|gz|ico|jpe?g|js|json|map|md|mjs|mp3|mp4|ogg|otf|pdf|png|svg|ttf|txt|wasm|webm|webmanifest|webp|woff2?|xml|zip";

const carried = (site: LuggageSite): string[] => [
  block("location /", [
    `proxy_pass http://${luggageName(site.luggage)};`,
    ...ownRedirects(site, namesBehind(site)),
    ...namesBehind(site).map((name) => `proxy_cookie_domain ${name} ${nameAsked(site)};`),
    ...(towardsOrigin(site, "$remote_addr") ?? []),
    ...bodyLimit(site),
    ...times(site),
    ...buffering(site),
    ...ownHeaders(site),
  ]),
];
