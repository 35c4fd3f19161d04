import type { Site } from "../spec.ts";
import { block, text } from "./nginx-block.ts";

/**
 * `pop maintenance` (image/pop/maintenance/maintenance.go) creates a file here for a site that is to answer with 503. The check is one stat(2) per request,
 * about a microsecond if the file is missing. Not open_file_cache: it would also keep files of the cache open. Not a reload: it ends WebSockets of all sites.
 */
const maintenanceDir = "/var/lib/pop/maintenance";

/** No visitor can request it and no rule can match it, because nginx merges slashes. */
const location = "//maintenance";

/** How long browsers wait before they retry. Crawlers keep what they have indexed. */
const retryAfterSeconds = 300;

const page = [
  '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
  '<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex"><title>Down for maintenance</title>',
  "<style>body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:20vh auto;padding:0 1rem}</style>",
  "<h1>Down for maintenance</h1><p>This site is being worked on and will be back soon. Please try again in a few minutes.</p></html>",
].join("");

/** Directives of a site's server, before all others that answer. */
export const maintenance = ({ host }: Site): string[] => [
  block(`if (-f "${maintenanceDir}/${host}")`, [`rewrite ^ ${location} last;`]),
  `include /${maintenanceFile};`,
];

/** The location is the same in all sites, so it has its own file. */
export const maintenanceFile = "etc/nginx/maintenance.conf";
export const maintenanceText = text([
  block(`location = ${location}`, [
    "internal;",
    'default_type "text/html; charset=utf-8";',
    `add_header Retry-After ${retryAfterSeconds} always;`,
    "add_header Cache-Control no-store always;",
    "add_header X-PoP $pop always;",
    `return 503 '${page}';`,
  ]),
]);
