import { limits } from "../limits.ts";
import { ports } from "../ports.ts";
import { header } from "./names.ts";

/** What nginx.conf says for all sites alike, list by list. */

export const general = [
  "include /etc/nginx/mime.types;",
  "default_type application/octet-stream;",
  "charset utf-8;",
  "sendfile on;",
  "tcp_nopush on;",
  "server_tokens off;",
  // Its own redirects would name the port behind the proxy.
  "absolute_redirect off;",
  "server_names_hash_bucket_size 512;",
  "server_names_hash_max_size 4096;",
  "client_header_timeout 15s;",
  "client_body_timeout 30s;",
  `client_max_body_size ${limits.maxBodyMb}m;`,
  "send_timeout 30s;",
  "keepalive_timeout 65s;",
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

/** A line a request, for `pop health`, which gives back the space of what it has read. */
export const countsFile = "/run/pop/counts/requests";

export const logging = [
  `log_format json escape=json '{"time":"$time_iso8601","client":"$remote_addr","host":"$host","method":"$request_method","uri":"$request_uri",'`,
  `  '"protocol":"$server_protocol","status":$status,"bytes":$body_bytes_sent,"seconds":$request_time,"cache":"$upstream_cache_status",'`,
  `  '"originSeconds":"$upstream_response_time","referer":"$http_referer","agent":"$http_user_agent"}';`,
  // Buffered: a write a request would cost more than many a request, and every line passes through process-compose.
  "access_log /dev/stdout json buffer=8k flush=1s;",
  // What `pop health` counts (image/pop/counts.go): by the site's own name, as a visitor may ask for any. Not the log above, which is root's alone to read.
  `log_format counts "$server_name $upstream_cache_status $status $bytes_sent $request_length $request_time";`,
  `access_log ${countsFile} counts buffer=32k flush=1s;`,
];

/**
 * Mozilla's intermediate set without DHE, https://wiki.mozilla.org/Security/Server_Side_TLS. Curves are OpenSSL's own choice: a list would turn X25519MLKEM768 off.
 * No stapling: Let's Encrypt ended OCSP.
 */
export const tls = [
  "ssl_protocols TLSv1.2 TLSv1.3;",
  "ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;",
  "ssl_prefer_server_ciphers off;",
  "ssl_session_timeout 1d;",
  "ssl_session_cache shared:tls:2m;",
  "ssl_session_tickets off;",
];

const compressed = [
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
  `gzip_types ${compressed};`,
  "brotli on;",
  "brotli_comp_level 4;",
  "brotli_min_length 512;",
  `brotli_types ${compressed};`,
];

/** What an origin is told of the request. Set, not appended: what a client claims about itself ends here. */
export const requestHeaders = (client: string): string[] => [
  "proxy_set_header Host $host;",
  "proxy_set_header Upgrade $http_upgrade;",
  "proxy_set_header Connection $connection_upgrade;",
  `proxy_set_header X-Forwarded-For ${client};`,
  `proxy_set_header X-Real-IP ${client};`,
  "proxy_set_header X-Forwarded-Proto https;",
  "proxy_set_header X-Forwarded-Host $host;",
  "proxy_set_header X-Forwarded-Port 443;",
  `proxy_set_header Forwarded "";`,
  // httpoxy: a CGI behind us would take it for its own proxy setting.
  `proxy_set_header Proxy "";`,
  // The cache holds one plain copy, which is compressed on the way out for whoever can read it.
  `proxy_set_header Accept-Encoding "";`,
];

/** What tells of the machinery behind; Server is nginx's own by default. Alt-Svc would send browsers to a port that only the origin has. */
export const hidden = (more: string[] = []): string[] =>
  ["X-Powered-By", "X-AspNet-Version", "X-AspNetMvc-Version", "X-Runtime", "X-Cache", "X-PoP", "Via", "Alt-Svc"]
    .concat(more)
    .map((name) => `proxy_hide_header ${name};`);

/** What tells where an answer comes from. */
export const marks = ["add_header X-Cache $upstream_cache_status always;", "add_header X-PoP $pop always;"];

/** A site's own headers, in whichever order they were written. */
export const setHeaders = (headers: Record<string, string>): string[] =>
  Object.entries(headers)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    // Not on errors, for those two: nobody is to keep a 502.
    .map(
      ([name, value]) =>
        `add_header ${header(name, value)}${/^(?:cache-control|expires)$/i.test(name) ? "" : " always"};`,
    );

/** Said once for every site that passes requests on; a location that sets a header of its own would lose all of these. */
export const proxying = [
  `map $http_upgrade $connection_upgrade { default upgrade; "" ""; }`,
  `resolver 127.0.0.1:${ports.dns} valid=30s;`,
  "resolver_timeout 5s;",
  "proxy_http_version 1.1;",
  ...requestHeaders("$remote_addr"),
  `proxy_connect_timeout ${limits.connectSeconds}s;`,
  `proxy_read_timeout ${limits.readSeconds}s;`,
  `proxy_send_timeout ${limits.sendSeconds}s;`,
  "proxy_next_upstream_tries 2;",
  "proxy_next_upstream_timeout 10s;",
  "proxy_max_temp_file_size 256m;",
  "proxy_headers_hash_max_size 1024;",
  "proxy_headers_hash_bucket_size 128;",
  "proxy_ssl_verify on;",
  "proxy_ssl_verify_depth 3;",
  "proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;",
  "proxy_ssl_server_name on;",
  "proxy_ssl_protocols TLSv1.2 TLSv1.3;",
  // Internal redirects are this PoP's own affair: an origin cannot ask for a file of it.
  "proxy_ignore_headers X-Accel-Redirect;",
  ...hidden(),
  ...marks,
];
