import { createHash } from "node:crypto";
import { namesInUrls, type SiteNames } from "./hosts.ts";
import { encodedOrLiteral } from "./path-pattern.ts";
import { escapeRegExp } from "./validators.ts";

/**
 * Removes a prefix from paths for the origin, and adds it to paths in the origin's responses. nginx compares the decoded path, but the origin gets the path as
 * the visitor wrote it, so the prefix is removed from that. If it cannot be found there because the path is not normalized, the origin gets the path as nginx
 * decoded it.
 */

/** The prefix that a location removes, such as /api. */
type Prefixed = SiteNames & { prefix?: string };

/**
 * Whether the path has parts that nginx removed before it compared it, or that servers interpret differently: with `/x/../admin` and `//x/admin` an origin
 * might see a different path than nginx did. In that case the origin gets the path that nginx compared.
 */
export const unnormalizedMap =
  'map $request_uri $path_detour { "~*^(?:(?:/|%2f){2}|[^?#\\\\\\\\]*(?:[#\\\\\\\\]|(?:/|%2f)(?:\\.|%2e){1,2}(?:/|%2f|[?]|$)))" 1; default ""; }';

/** Directive of a server: from here on, `$uri` is passed on. */
export const useNormalizedPath = "if ($path_detour) {\n  rewrite ^ $uri break;\n}";

/** Variable: what follows the prefix in the path as the visitor wrote it, with the query. Empty if that is ambiguous. */
export const restVariable = (prefix: string): string =>
  `$rest_${createHash("sha256").update(prefix).digest("hex").slice(0, 16)}`;

/** Directives of the `http` block: the variables of prefixes. */
export const restMaps = (prefixes: readonly string[]): string[] =>
  [...new Set(prefixes)]
    .toSorted()
    .map(
      (prefix) =>
        `map $path_detour$request_uri ${restVariable(prefix)} { "~^${encodedOrLiteral(prefix)}(?:/|%2[fF])(?<after>[^/].*)?$" /$after; "~^${encodedOrLiteral(prefix)}(?<after>[?].*)?$" /$after; default ""; }`,
    );

/** Passes on the decoded path, without the prefix. */
export const stripPrefix = ({ prefix }: Pick<Prefixed, "prefix">): string[] =>
  prefix === undefined ? [] : [`rewrite "(?s)^${escapeRegExp(prefix)}(?:\\/(.*))?\\z" /$1 break;`];

/** Follows the name in proxy_pass. If it is empty, nginx passes on its own path, encoded again, and the query. */
export const strippedUri = ({ prefix }: Pick<Prefixed, "prefix">): string =>
  prefix === undefined ? "" : restVariable(prefix);

/** Tells an application its prefix. */
export const prefixField = (prefix: string | undefined): string[] =>
  prefix === undefined ? [] : [`proxy_set_header X-Forwarded-Prefix "${prefix}";`];

/**
 * Rewrites redirects of an origin that knows only its own names and not the prefix: they get the site's name and https, and with a prefix, it is added to paths
 * of redirects and cookies.
 * @param originNames names that the origin may use for itself
 */
export function rewriteRedirects(site: Prefixed, originNames: readonly string[]): string[] {
  const { prefix } = site;
  const urls = namesInUrls(site, originNames).map(({ names, replacement }) => ({
    url: `^https?://${names}(?::[0-9]+)?`,
    become: replacement,
  }));
  if (prefix === undefined)
    return urls.map(({ url, become }) => `proxy_redirect "~*${url}(?<rest>/.*)?$" https://${become}$rest;`);
  const known = `${escapeRegExp(prefix)}(?:[/?#]|$)`;
  return [
    ...urls.flatMap(({ url, become }) => [
      // The application may know its prefix.
      `proxy_redirect "~*${url}(?<rest>${escapeRegExp(prefix)}(?:[/?#].*)?)$" https://${become}$rest;`,
      `proxy_redirect "~*${url}(?<rest>/.*)?$" "https://${become}${prefix}$rest";`,
    ]),
    `proxy_redirect "~^(?!${known})(?<rest>/(?!/).*)$" "${prefix}$rest";`,
    `proxy_cookie_path "~^(?!${known})(?<rest>/.+)$" "${prefix}$rest";`,
  ];
}
