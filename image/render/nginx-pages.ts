/** What a PoP answers by itself beside a site's content: error pages and robots.txt. */
import type { Site } from "../spec.ts";
import { defaultErrorPages, errorPageCsp, pageStatuses } from "./error-pages.ts";
import { siteKey } from "./hosts.ts";
import { block, text } from "./nginx-block.ts";
import { marks, setHeaders } from "./nginx-common.ts";
import { loginOff } from "./nginx-login-off.ts";
import { presetLines } from "./nginx-presets.ts";

/** Where a site's own error pages lie in the image. */
export const errorPagesDir = (host: string): string => `srv/error-pages/${siteKey(host)}`;

/** Where a site's robots.txt lies in the image. */
export const robotsFile = (host: string): string => `srv/robots/${siteKey(host)}.txt`;

/** What a visitor is told to wait after an error that passes, in seconds. After 429 image/nginx/reject.c tells. */
const retryAfterSeconds = 30;

/** For all sites. A client gets HTML if it says that it takes it: browsers do, an asterisk is anybody. */
export const pageMaps: string[] = [
  `map $http_accept $error_form { "~*\\btext/html\\s*;\\s*q=0(?:\\.0*)?\\s*(?:,|$)" txt; "~*\\btext/html\\b" html; default txt; }`,
  `map $status $retry_after { 502 ${retryAfterSeconds}; 503 ${retryAfterSeconds}; 504 ${retryAfterSeconds}; default ""; }`,
];

/**
 * No visitor can ask for it: nginx makes one slash of two. An internal redirect keeps them, so no path of a site is taken.
 * Not a named location: in one, a request other than GET or HEAD would get no file.
 */
const errorUri = "//error";

/** What a location answers with beside its content. */
type PageSite = Pick<Site, "kind" | "host" | "headers" | "errorPages" | "hsts" | "securityHeaders" | "auth">;

/** Where errors of a site's server go, or of one of its rules with files of its own. */
const errorPageUri = (rule?: number): string => (rule === undefined ? errorUri : `${errorUri}/${rule}`);

/** Of a server or location: which errors get a page. */
export const errorPage = (rule?: number): string => `error_page ${pageStatuses.join(" ")} ${errorPageUri(rule)};`;

/** A server-wide check must let pages for its own errors through: nginx comes by it again with them. Part of a regular expression. */
export const exceptErrorPages = `(?!${errorUri}(?:/|$))`;

/** Lines of a server that serve pages for errors nginx itself makes. What an origin says, errors too, passes as it is: nothing is intercepted. */
export const errorPages = (site: PageSite): string[] => [
  errorPage(),
  errorLocation(site, site.kind === "files" ? `srv/sites/${siteKey(site.host)}` : undefined),
];

/**
 * The location that answers with the page.
 * @param content folder of the image with the packed files of the site or rule, without a slash before it
 */
export function errorLocation(site: PageSite, content: string | undefined, rule?: number): string {
  const own = site.errorPages === undefined ? [] : [`/${errorPagesDir(site.host)}/$status.$error_form`];
  // Packed files that have a page for a status, as 404.html, show it to everybody.
  const packed = content === undefined ? [] : [`"/${content}/$status.html"`];
  const pages = [...own, ...packed, `/${defaultErrorPages}/$status.$error_form`];
  return block(`location = ${errorPageUri(rule)}`, [
    `include /${errorPageFile};`,
    // The request was judged; its error page is not to be refused again.
    ...(site.auth ? [loginOff(site.auth)] : []),
    `try_files ${pages.join(" ")} =404;`,
    ...errorHeaders(site),
  ]);
}

/** What the locations of error pages have in common, in a file of its own: some sites have a dozen. */
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

/** The site's own headers. Pages of its own are under its policy; the project's have their own, as many a policy forbids their style. */
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
