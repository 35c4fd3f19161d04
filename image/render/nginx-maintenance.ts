import type { Site } from "../spec.ts";
import { block, text } from "./nginx-block.ts";

/**
 * `pop maintenance` (image/pop/maintenance.go) puts a file here to have a site answered with 503. Looking for it is one stat(2) a request, about a microsecond, on a
 * name that is not there. No open_file_cache: it would hold files of the cache open, too. No reload: that ends WebSockets of all sites.
 */
const maintenanceDir = "/var/lib/pop/maintenance";

/** No visitor can ask for it, and no rule be about it: nginx makes one slash of two. */
const location = "//maintenance";

/** Browsers try again by themselves no sooner, crawlers keep what they know. */
const retryAfterSeconds = 300;

const page = [
  '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
  '<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex"><title>Down for maintenance</title>',
  "<style>body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:20vh auto;padding:0 1rem}</style>",
  "<h1>Down for maintenance</h1><p>This site is being worked on and will be back soon. Please try again in a few minutes.</p></html>",
].join("");

/** Lines of a site's server, before all others that answer. */
export const maintenance = ({ host }: Site): string[] => [
  block(`if (-f "${maintenanceDir}/${host}")`, [`rewrite ^ ${location} last;`]),
  `include /${maintenanceFile};`,
];

/** The location is the same in all sites, so it is in a file of its own. */
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
