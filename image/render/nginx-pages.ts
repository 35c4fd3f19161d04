/** What a PoP answers by itself beside a site's content: error pages and robots.txt. */
import type { Site } from "../spec.ts";
import { defaultErrorPages, pagePolicy, pageStatuses } from "./error-pages.ts";
import { siteKey } from "./hosts.ts";
import { block } from "./nginx-block.ts";
import { marks, setHeaders } from "./nginx-common.ts";
import { setPresets } from "./nginx-presets.ts";

/** Where a site's own error pages lie in the image. */
export const errorPagesFolder = (host: string): string => `srv/error-pages/${siteKey(host)}`;

/** Where a site's robots.txt lies in the image. */
export const robotsFile = (host: string): string => `srv/robots/${siteKey(host)}.txt`;

/** What a visitor is told to wait after an error that passes, in seconds. */
const retryAfterSeconds = 30;

/** For all sites. A client gets HTML if it says that it takes it: browsers do, an asterisk is anybody. */
export const pageMaps: string[] = [
  `map $http_accept $error_form { "~*\\btext/html\\s*;\\s*q=0(?:\\.0*)?\\s*(?:,|$)" txt; "~*\\btext/html\\b" html; default txt; }`,
  `map $status $retry_after { 429 ${retryAfterSeconds}; 502 ${retryAfterSeconds}; 503 ${retryAfterSeconds}; 504 ${retryAfterSeconds}; default ""; }`,
];

/**
 * No visitor can ask for it: nginx makes one slash of two. An internal redirect keeps them, so no path of a site is taken.
 * Not a named location: in one, a request other than GET or HEAD would get no file.
 */
const errorUri = "//error";

/** Locations that serve pages for errors nginx itself makes. What an origin says, errors too, passes as it is: nothing is intercepted. */
export function errorPages(site: Site): string[] {
  const packed = site.kind === "files";
  const own = site.errorPages === undefined ? [] : [`/${errorPagesFolder(site.host)}/$status.$error_form`];
  // A packed site that has a page for a status, as 404.html, shows it to everybody.
  const content = packed ? [`/srv/sites/${siteKey(site.host)}/$status.html`] : [];
  const pages = [...own, ...content, `/${defaultErrorPages}/$status.$error_form`];
  return [
    `error_page ${pageStatuses.join(" ")} ${errorUri};`,
    block(`location = ${errorUri}`, [
      "internal;",
      // The request was judged; its error page is not to be refused again.
      "allow all;",
      "auth_basic off;",
      "auth_request off;",
      "client_max_body_size 0;",
      "root /;",
      `try_files ${pages.join(" ")} =404;`,
      "default_type text/plain;",
      "charset utf-8;",
      "etag off;",
      `add_header Last-Modified "";`,
      "add_header Cache-Control no-store always;",
      "add_header Retry-After $retry_after always;",
      ...marks,
      ...errorHeaders(site),
    ]),
  ];
}

/** The site's own headers. Pages of its own are under its policy; the project's have their own, as many a policy forbids their style. */
function errorHeaders(site: Site): string[] {
  const headers = without(/^(?:cache-control|expires|retry-after)$/i, site.headers);
  if (site.errorPages !== undefined || site.kind === "files") return [...setHeaders(headers), ...setPresets(site)];
  const all = { ...without(/^content-security-policy$/i, headers), "Content-Security-Policy": pagePolicy };
  return [...setHeaders(all), ...setPresets({ ...site, headers: all })];
}

/** robots.txt as the stack file says, whatever the site has at that path. */
export function robots(site: Site): string[] {
  if (site.robots === undefined) return [];
  return [
    block("location = /robots.txt", [
      "default_type text/plain;",
      "charset utf-8;",
      "etag off;",
      `add_header Last-Modified "";`,
      "add_header Cache-Control max-age=3600;",
      ...marks,
      ...setHeaders(without(/^(?:cache-control|expires)$/i, site.headers)),
      ...setPresets(site),
      ...(site.robots.kind === "deny"
        ? [`return 200 "User-agent: *\\nDisallow: /\\n";`]
        : [`alias /${robotsFile(site.host)};`]),
    ]),
  ];
}

const without = (names: RegExp, headers: Record<string, string> = {}): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !names.test(name)));
