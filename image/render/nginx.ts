import { ports } from "../ports.ts";
import type { CacheStore, FilesSite, ImageSpec, LuggageSite, RedirectSite, Site } from "../spec.ts";
import { hostName, literal, type Origin, origin, originUrl, whole } from "./names.ts";
import { block, text } from "./nginx-block.ts";
import { compression, general, logging, marks, proxying, setHeaders, tls } from "./nginx-common.ts";
import { bodyLimit, hops, originUpstreams, ownHeaders, proxied, times, upstream } from "./nginx-origins.ts";

/** nginx.conf: ends TLS, caches, passes on. Directives: https://nginx.org/en/docs/dirindex.html */
export function nginxConf(spec: Pick<ImageSpec, "sites" | "luggage" | "cache">): string {
  const sites = spec.sites.toSorted(byHost);
  const hosts = sites.map((site) => hostName(site.host));
  const twin = hosts.find((host, at) => host === hosts[at + 1]);
  if (twin) throw new Error(`site ${twin}: there are two of it.`);
  return text([
    "load_module /usr/lib/nginx/modules/ngx_http_brotli_filter_module.so;",
    "load_module /usr/lib/nginx/modules/ngx_http_brotli_static_module.so;",
    // process-compose starts it through runas: it is not root, neither master nor worker, and has no user to change to.
    "daemon off;",
    "worker_processes auto;",
    "worker_rlimit_nofile 16384;",
    `worker_shutdown_timeout ${drainSeconds}s;`,
    "pid /run/nginx/nginx.pid;",
    "error_log stderr warn;",
    "",
    block("events", ["worker_connections 4096;"]),
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
      ...proxying,
      "",
      ...caching(spec.cache, sites),
      "",
      ...upstreams(sites, spec.luggage),
      "",
      privateServer,
      "",
      ...unknownNames,
      "",
      ...(hosts.length ? [toHttps(hosts), ""] : []),
      ...sites.filter((site) => site.kind === "proxy").flatMap(hops),
      ...sites.map(server),
    ]),
  ]);
}

/** What a worker that was told to quit still waits for open requests, WebSockets among them. The kill timeout of its process lies above. */
export const drainSeconds = 15;

const byHost = (a: Site, b: Site): number => (a.host < b.host ? -1 : a.host > b.host ? 1 : 0);

function caching(store: CacheStore, sites: Site[]): string[] {
  const maxSizeMb = whole(store.maxSizeMb, "cache.maxSizeMb", { min: 16, max: 500_000 });
  // One store for all sites, so what nobody asked for stays as long as the most patient site wants.
  const inactive = sites
    .filter((site) => site.kind === "proxy")
    .reduce((longest, { cache }) => Math.max(longest, cache.maxAgeSeconds + cache.staleForSeconds), 600);
  return [
    // 4m: some 32,000 entries. min_free makes room when something else fills the volume.
    `proxy_cache_path /var/cache/nginx/pop levels=1:2 use_temp_path=off keys_zone=pop:4m max_size=${maxSizeMb}m min_free=32m inactive=${inactive}s;`,
    "proxy_cache_lock on;",
    "proxy_cache_lock_age 5s;",
    "proxy_cache_lock_timeout 5s;",
    "proxy_cache_revalidate on;",
    // 1 when a request bears a cookie and its answer says nothing of caching: our default age alone must not hand one visitor's page to the next.
    `map "$http_cookie|$upstream_http_cache_control$upstream_http_expires$upstream_http_x_accel_expires" $perhaps_personal { "~^.+\\|$" 1; default ""; }`,
    "proxy_cache_bypass $http_authorization $http_upgrade;",
    "proxy_no_cache $http_authorization $http_upgrade $perhaps_personal;",
  ];
}

/** Connections are kept alive to luggage and to origins given by address. */
function upstreams(sites: Site[], luggage: ImageSpec["luggage"]): string[] {
  const served = sites.filter((site) => site.kind === "luggage").map((site) => site.luggage);
  return [
    ...sites.filter((site) => site.kind === "proxy").flatMap(originUpstreams),
    ...[...new Set(served)]
      .toSorted()
      .map((name) => upstream(luggageName(name), `127.0.0.1:${luggagePort(luggage, name)}`)),
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

/** No certificate is shown to who asks for a name that is not ours; over plain HTTP such a request is told it came to the wrong place. */
const unknownNames = [
  block("server", [
    `listen ${ports.http} proxy_protocol default_server backlog=4096;`,
    "server_name _;",
    "return 421;",
  ]),
  block("server", [
    `listen ${ports.https} ssl proxy_protocol default_server backlog=4096;`,
    "server_name _;",
    "ssl_reject_handshake on;",
    "return 421;",
  ]),
];

const toHttps = (hosts: string[]): string =>
  block("server", [
    `listen ${ports.http} proxy_protocol;`,
    ...hosts.map((host) => `server_name ${host};`),
    "return 301 https://$host$request_uri;",
  ]);

function server(site: Site): string {
  return block("server", [
    `listen ${ports.https} ssl proxy_protocol;`,
    `server_name ${site.host};`,
    `ssl_certificate /var/lib/pop/certs/${site.host}.pem;`,
    `ssl_certificate_key /var/lib/pop/certs/${site.host}.pem;`,
    ...content(site),
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
  return [...(site.headers ? [...marks, ...setHeaders(site.headers)] : []), `return 301 ${originUrl(to)}$request_uri;`];
};

/**
 * Times of packed files mean nothing (the build fixes them, by content), so what tells versions apart is the ETag alone.
 * Dot files stay where they are.
 */
const packed = (site: FilesSite): string[] => [
  `root /srv/sites/${site.host};`,
  "index index.html;",
  "error_page 404 /404.html;",
  "if_modified_since off;",
  "gzip_static on;",
  "brotli_static on;",
  `add_header Last-Modified "";`,
  ...(Object.keys(site.headers ?? {}).some((name) => name.toLowerCase() === "cache-control")
    ? []
    : ["add_header Cache-Control no-cache;"]),
  "add_header X-PoP $pop always;",
  ...setHeaders(site.headers ?? {}),
  block("location /", ["try_files $uri $uri.html $uri/ =404;"]),
  block("location ~ /\\.(?!well-known/)", ["return 404;"]),
];

const carried = (site: LuggageSite): string[] => [
  block("location /", [
    `proxy_pass http://${luggageName(site.luggage)};`,
    `proxy_redirect "~*^https?://${literal(site.host)}(?::[0-9]+)?(?<rest>/.*)?$" https://${site.host}$rest;`,
    ...bodyLimit(site),
    ...times(site),
    ...ownHeaders(site),
  ]),
];
