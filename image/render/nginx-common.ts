import { byKey } from "../../lib/order.ts";
import { limits, processesMb } from "../limits.ts";
import { ports } from "../ports.ts";
import type { Logs } from "../spec.ts";
import { pageStatuses } from "./error-pages.ts";
import { accessLogs, client, logMaps } from "./nginx-logs.ts";
import { header } from "./validators.ts";

/** What nginx.conf says for all sites alike, list by list. */

export const general = [
  "include /etc/nginx/mime.types;",
  "default_type application/octet-stream;",
  "sendfile on;",
  "tcp_nopush on;",
  "server_tokens off;",
  // Its own redirects would name the port behind the proxy.
  "absolute_redirect off;",
  "server_names_hash_bucket_size 512;",
  "server_names_hash_max_size 4096;",
  // Maps have names of sites for keys. It has to stand before the first of them.
  "map_hash_bucket_size 512;",
  // Sites and rules have variables of their own.
  "variables_hash_max_size 8192;",
  "variables_hash_bucket_size 128;",
  "client_header_timeout 15s;",
  "client_body_timeout 30s;",
  `client_max_body_size ${limits.maxBodyMb}m;`,
  "client_body_buffer_size 32k;",
  // One buffer: each connection can hold this much for a request that never ends. A single field, such as a cookie, may fill it.
  `large_client_header_buffers 1 ${limits.headersKb + 2}k;`,
  "send_timeout 30s;",
  `keepalive_timeout ${limits.idleSeconds}s;`,
  "reset_timedout_connection on;",
  "http2 on;",
  "",
  // Fly Proxy, and local Fly's by way of Docker's bridge, connect from this range; who else sends a PROXY header is not believed.
  "set_real_ip_from 172.16.0.0/12;",
  "real_ip_header proxy_protocol;",
  "",
  // $pop: the name of this PoP. postInit writes it from the environment, which a configuration cannot read.
  "include /run/pop/nginx-name.conf;",
];

/** One line per request, for `pop health`, which frees the space of the lines it has read. */
const countsFile = "/run/pop/counts/requests";

export const logging = (logs: Logs = {}): string[] => [
  ...logMaps(logs),
  // nginx makes a GET of a request that it shows an error page. Its line tells what was asked.
  `map $request $asked_method { "~^(?<asked>[^ ]+) " $asked; default $request_method; }`,
  `map $status $logged_method { ${pageStatuses.map((status) => `${status} $asked_method;`).join(" ")} default $request_method; }`,
  `log_format json escape=json '{"time":"$time_iso8601","client":"${client(logs)}","host":"$host","method":"$logged_method","uri":"$request_uri",'`,
  `  '"protocol":"$server_protocol","status":$status,"bytes":$body_bytes_sent,"seconds":$request_time,"cache":"$pop_cache_status",'`,
  `  '"originSeconds":"$upstream_response_time","referer":"$http_referer","agent":"$http_user_agent"}';`,
  // Buffered: one write per request would cost more than many a request, and every line passes through process-compose.
  ...accessLogs(logs),
  // What `pop health` counts (image/pop/counts/counts.go): by the site's own name, as a visitor may ask for any. Not the log above, which is root's alone to
  // read.
  `log_format counts "$server_name $pop_cache_status $status $bytes_sent $request_length $request_time $pop_rejected";`,
  `access_log ${countsFile} counts buffer=32k flush=1s;`,
];

/** Seconds for which a worker of nginx may serve what it read of a PEM before. `pop certs` waits for that before a PoP goes into service (render/acme.ts). */
export const certificateCacheSeconds = 1;

/**
 * Mozilla's intermediate set without DHE, https://wiki.mozilla.org/Security/Server_Side_TLS. Curves are OpenSSL's own choice: a list would turn X25519MLKEM768
 * off. No stapling: Let's Encrypt ended OCSP.
 */
export const tls = [
  "ssl_protocols TLSv1.2 TLSv1.3;",
  "ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;",
  "ssl_prefer_server_ciphers off;",
  "ssl_session_timeout 1d;",
  "ssl_session_cache shared:tls:2m;",
  "ssl_session_tickets off;",
  // Where `pop certs` and `pop self-signed` put pairs. Each worker
  // checks a pair again (one `stat`) when its last look is a second old, and reads it again if it has changed.
  `map "" $certificates { default /var/lib/pop/certs; }`,
  `ssl_certificate_cache max=1000 inactive=1d valid=${certificateCacheSeconds}s;`,
];

const compressedTypes = [
  "application/atom+xml application/geo+json application/javascript application/json application/ld+json application/manifest+json",
  "application/rss+xml application/vnd.ms-fontobject application/wasm application/xhtml+xml application/xml",
  "font/otf font/ttf image/bmp image/svg+xml text/css text/javascript text/plain text/xml",
].join(" ");

export const compression = [
  "gzip on;",
  "gzip_vary on;",
  "gzip_proxied any;",
  "gzip_comp_level 4;",
  "gzip_min_length 512;",
  `gzip_types ${compressedTypes};`,
  "brotli on;",
  "brotli_comp_level 4;",
  // Each response in progress has a compressor; with the default window of 512 KB it takes 1.7 MB.
  "brotli_window 128k;",
  "brotli_min_length 512;",
  `brotli_types ${compressedTypes};`,
];

/** Of a site or a rule that does otherwise. */
export const compressed = ({ compress }: { compress?: boolean }): string[] =>
  compress === undefined ? [] : ["gzip", "brotli"].map((how) => `${how} ${compress ? "on" : "off"};`);

/**
 * Request fields that frameworks, proxies and single sign-on trust for the visitor's address, user or certificate, and for the request's scheme, prefix or
 * original URL. A PoP sends what it knows in the common fields (`requestHeaders`) and removes these.
 */
const claims = [
  "Forwarded Forwarded-For X-Forwarded X-Forwarded-By X-Forwarded-Client-Cert X-Forwarded-Method X-Forwarded-Path X-Forwarded-Prefix X-Forwarded-Protocol",
  "X-Forwarded-Server X-Forwarded-Uri X-Forwarded-User X-Forwarded-Email X-Forwarded-Groups X-Forwarded-Preferred-Username X-Forwarded-Access-Token",
  "Client-IP X-Client-IP X-Cluster-Client-IP X-Originating-IP X-Remote-Addr X-Remote-IP X-ProxyUser-IP X-Envoy-External-Address True-Client-IP",
  "CF-Connecting-IP CF-Connecting-IPv6 Fastly-Client-IP Fly-Client-IP X-Azure-ClientIP X-Azure-SocketIP Proxy-Client-IP WL-Proxy-Client-IP",
  "Remote-User Remote-Email Remote-Name Remote-Groups X-Remote-User X-Remote-Group X-User X-WebAuth-User X-Auth-Username X-Auth-Request-User",
  "X-Auth-Request-Email X-Auth-Request-Groups X-Auth-Request-Preferred-Username X-Auth-Request-Access-Token X-Authentik-Username X-Authentik-Email",
  "X-Authentik-Groups X-Authentik-Name X-Authentik-Uid X-Token-Subject X-MS-Client-Principal X-MS-Client-Principal-Name X-Goog-Authenticated-User-Email",
  "X-Goog-Authenticated-User-ID X-Goog-IAP-JWT-Assertion CF-Access-Authenticated-User-Email CF-Access-JWT-Assertion X-Amzn-OIDC-Identity X-Amzn-OIDC-Data",
  "Tailscale-User-Login Tailscale-User-Name Tailscale-User-Profile-Pic Tailscale-App-Capabilities X-Webauth-Login",
  "SSL-Client-Cert SSL-Client-Verify SSL-Client-S-DN X-SSL-Client-Cert X-SSL-Client-Verify X-SSL-Client-S-DN X-SSL-Client-DN X-Client-Cert Client-Cert X-SSL-CERT",
  "X-Original-URL X-Original-URI X-Original-Host X-Original-Method X-Original-For X-Original-Proto X-Rewrite-URL X-Host X-HTTP-Host-Override X-Script-Name",
  "X-Url-Scheme X-Scheme",
  // httpoxy: a CGI behind us would take it for its own proxy setting.
  "Proxy",
].join(" ");

/** Whether origins never get a request field that a visitor sends. */
export const isClaim = (name: string): boolean => claims.toLowerCase().split(" ").includes(name.toLowerCase());

/** Fields sent to the origin. They are set, not appended to, so a client's own values are dropped. */
export const requestHeaders = (client: string, host = "$host", by: "proxy" | "grpc" = "proxy"): string[] =>
  [
    `Host ${host}`,
    // HTTP/2 has no fields of a connection.
    ...(by === "proxy" ? ["Upgrade $websocket", "Connection $connection_upgrade"] : []),
    `X-Forwarded-For ${client}`,
    `X-Real-IP ${client}`,
    "X-Forwarded-Proto https",
    "X-Forwarded-Scheme https",
    "X-Forwarded-Ssl on",
    "Front-End-Https on",
    "X-Forwarded-Host $host",
    "X-Forwarded-Port 443",
  ].map((field) => `${by}_set_header ${field};`);

/** What tells of the machinery behind; Server is nginx's own by default. Alt-Svc would send browsers to a port that only the origin has. */
export const hidden = (more: string[] = [], by = "proxy"): string[] =>
  // Trailer: the trailers it announces are not passed on. The module removes the other hop-by-hop fields (image/nginx/fields.c).
  [
    "X-Powered-By",
    "X-AspNet-Version",
    "X-AspNetMvc-Version",
    "X-Runtime",
    "X-Cache",
    "X-PoP",
    "Via",
    "Alt-Svc",
    "Trailer",
  ]
    .concat(more)
    .map((name) => `${by}_hide_header ${name};`);

/** What tells where an answer comes from. */
export const marks = ["add_header X-Cache $pop_cache_status always;", "add_header X-PoP $pop always;"];

/** A site's own headers, in whichever order they were written. */
export const setHeaders = (headers: Record<string, string>): string[] =>
  Object.entries(headers)
    .toSorted(byKey)
    // Not on errors, for those two: browsers and caches must not keep a 502.
    .map(
      ([name, value]) =>
        `add_header ${header(name, value)}${/^(?:cache-control|expires)$/i.test(name) ? "" : " always"};`,
    );

/** Addresses that `pop block` (image/pop/block/block.go) has nginx answer with 403. The module reads it again when it has changed. */
const blockedFile = "/var/lib/pop/blocked";

/** Requests in progress of one visitor, and of one site. */
export const connectionBounds = [
  `limit_conn visitors ${limits.visitorRequests};`,
  `limit_conn sites ${limits.siteRequests};`,
];

/** Limits on requests in progress, per visitor (an IPv4 address, an IPv6 /64) and per site. Each HTTP/2 stream counts. */
export const bounds = [
  "limit_conn_zone $pop_visitor zone=visitors:2m;",
  "limit_conn_zone $server_name zone=sites:256k;",
  ...connectionBounds,
  "limit_conn_log_level info;",
  `pop_blocked ${blockedFile};`,
  // Memory of the other processes. The module computes its limit from the rest when nginx starts (image/nginx/memory.c), because one image runs on machines of
  // all sizes.
  `pop_memory_of_others ${processesMb}m;`,
];

/**
 * unbound has the cache, so asking it often costs little. By default nginx asks again for a name that did not exist only after ten seconds, and names of the
 * tailnet do not exist before the PoP has joined. The timeout is short as well: if unbound was too slow, it has the result at the next try.
 */
export const resolving = [`resolver 127.0.0.1:${ports.dns} valid=2s;`, "resolver_timeout 2s;"];

/** Said once for every site that passes requests on; a location that sets a header of its own would lose all of these. */
export const proxying = [
  // No other protocol: over h2c a visitor could send an origin any header field, and reach any host it serves.
  `map $http_upgrade $websocket { websocket websocket; default ""; }`,
  `map $websocket $connection_upgrade { default upgrade; "" ""; }`,
  ...resolving,
  "proxy_http_version 1.1;",
  `pop_hide_request_fields ${claims};`,
  ...requestHeaders("$remote_addr"),
  `proxy_connect_timeout ${limits.connectSeconds}s;`,
  `proxy_read_timeout ${limits.readSeconds}s;`,
  `proxy_send_timeout ${limits.sendSeconds}s;`,
  `proxy_next_upstream_timeout ${2 * limits.connectSeconds + 1}s;`,
  // Bodies and responses stream at the visitor's pace without touching the disk.
  "proxy_request_buffering off;",
  "proxy_buffering off;",
  "proxy_max_temp_file_size 0;",
  // Holds a response's header, then its body. Larger than the header's limit, as it also holds the status line and a stored response's key.
  `proxy_buffer_size ${limits.headersKb + 4}k;`,
  "proxy_buffers 8 16k;",
  `proxy_busy_buffers_size ${limits.headersKb + 4}k;`,
  // Only for visitors that can use them; others get the final response alone.
  `map $http_sec_fetch_mode $early_hints { navigate $http2; default ""; }`,
  "early_hints $early_hints;",
  "proxy_headers_hash_max_size 1024;",
  "proxy_headers_hash_bucket_size 128;",
  "proxy_ssl_verify on;",
  "proxy_ssl_verify_depth 3;",
  "proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;",
  "proxy_ssl_server_name on;",
  "proxy_ssl_protocols TLSv1.2 TLSv1.3;",
  // Internal redirects are this PoP's own affair: an origin cannot ask for a file of it.
  "proxy_ignore_headers X-Accel-Redirect;",
  // The origin's own, because ages are computed from it.
  "proxy_pass_header Date;",
  ...hidden(),
  ...marks,
];
