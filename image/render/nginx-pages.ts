/** What a PoP answers itself besides a site's content: error pages and robots.txt. */
import type { Site } from "../spec.ts";
import { defaultErrorPages, errorPageCsp, pageStatuses } from "./error-pages.ts";
import { siteKey } from "./hosts.ts";
import { block, text } from "./nginx-block.ts";
import { marks, setHeaders } from "./nginx-common.ts";
import { loginOff } from "./nginx-login-off.ts";
import { presetLines } from "./nginx-presets.ts";

/** Directory in the image of a site's own error pages. */
const errorPagesDir = (host: string): string => `srv/error-pages/${siteKey(host)}`;

/** Path in the image of a site's robots.txt. */
const robotsFile = (host: string): string => `srv/robots/${siteKey(host)}.txt`;

/** Retry-After of temporary errors, in seconds. image/nginx/reject.c sets it for 429. */
const retryAfterSeconds = 30;

/** For all sites. Clients get HTML if they explicitly accept it, as browsers do; a wildcard does not count. */
export const pageMaps: string[] = [
  `map $http_accept $error_form { "~*\\btext/html\\s*;\\s*q=0(?:\\.0*)?\\s*(?:,|$)" txt; "~*\\btext/html\\b" html; default txt; }`,
  `map $status $retry_after { 502 ${retryAfterSeconds}; 503 ${retryAfterSeconds}; 504 ${retryAfterSeconds}; default ""; }`,
];

/**
 * No visitor can request it, because nginx merges slashes; an internal redirect keeps them, so no path of a site is taken. Not a named location: in one,
 * requests other than GET or HEAD would get no file.
 */
const errorUri = "//error";

/** What determines the error pages and headers of a site. */
type PageSite = Pick<Site, "kind" | "host" | "headers" | "errorPages" | "hsts" | "securityHeaders" | "auth">;

/** Internal URI of the errors of a site's server, or of a rule with files of its own. */
const errorPageUri = (rule?: number): string => (rule === undefined ? errorUri : `${errorUri}/${rule}`);

/** Directive of a server or location: the statuses that get a page. */
export const errorPage = (rule?: number): string => `error_page ${pageStatuses.join(" ")} ${errorPageUri(rule)};`;

/** Part of a regular expression. Server-wide checks must let the pages for their own errors pass: nginx runs the checks again for the internal redirect. */
export const exceptErrorPages = `(?!${errorUri}(?:/|$))`;

/**
 * Directives of a server that serve pages for errors that nginx itself reports. Responses of the origin, including errors, pass unchanged: nothing is
 * intercepted.
 */
export const errorPages = (site: PageSite): string[] => [
  errorPage(),
  errorLocation(site, site.kind === "files" ? `srv/sites/${siteKey(site.host)}` : undefined),
];

/**
 * The location that answers with the page.
 * @param content directory in the image with the packed files of the site or rule, without a leading slash
 */
export function errorLocation(site: PageSite, content: string | undefined, rule?: number): string {
  const own = site.errorPages === undefined ? [] : [`/${errorPagesDir(site.host)}/$status.$error_form`];
  // If packed files have a page for a status, such as 404.html, all clients get it.
  const packed = content === undefined ? [] : [`"/${content}/$status.html"`];
  const pages = [...own, ...packed, `/${defaultErrorPages}/$status.$error_form`];
  return block(`location = ${errorPageUri(rule)}`, [
    `include /${errorPageFile};`,
    // The request itself was already checked; its error page must not be rejected again.
    ...(site.auth ? [loginOff(site.auth)] : []),
    `try_files ${pages.join(" ")} =404;`,
    ...errorHeaders(site),
  ]);
}

/** Directives that all error page locations share, in a file of their own: some sites have a dozen. */
export const errorPageFile = "etc/nginx/error-page.conf";
export const errorPageText = text([
  "internal;",
  "client_max_body_size 0;",
  "root /;",
  "default_type text/plain;",
  "charset utf-8;",
  "etag off;",
  `add_header Last-Modified "";`,
  "add_header Cache-Control no-store always;",
  "add_header Retry-After $retry_after always;",
  ...marks,
]);

/**
 * The site's own headers. The site's own pages are subject to its Content-Security-Policy. The default pages have their own, because many policies forbid their
 * style.
 */
function errorHeaders(site: PageSite): string[] {
  const headers = omitHeaders(/^(?:cache-control|expires|retry-after)$/i, site.headers);
  if (site.errorPages !== undefined || site.kind === "files") return [...setHeaders(headers), ...presetLines(site)];
  const all = { ...omitHeaders(/^content-security-policy$/i, headers), "Content-Security-Policy": errorPageCsp };
  return [...setHeaders(all), ...presetLines({ ...site, headers: all })];
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
      ...setHeaders(omitHeaders(/^(?:cache-control|expires)$/i, site.headers)),
      ...presetLines(site),
      ...(site.robots.kind === "deny"
        ? [`return 200 "User-agent: *\\nDisallow: /\\n";`]
        : [`alias /${robotsFile(site.host)};`]),
    ]),
  ];
}

const omitHeaders = (names: RegExp, headers: Record<string, string> = {}): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !names.test(name)));
