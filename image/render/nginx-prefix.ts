import { createHash } from "node:crypto";
import { namesInUrls, type SiteNames } from "./hosts.ts";
import { encodedOrLiteral } from "./path-pattern.ts";
import { escapeRegExp } from "./validators.ts";

/**
 * What a location takes from a path, and gives back to what the origin says of paths. nginx compares the decoded path, while an origin gets the path as the
 * visitor wrote it, so the prefix is taken from that; if it is not to be found there, for detours, the origin gets the path as nginx understood it.
 */

/** The prefix that a location takes away, as in /api. */
type Prefixed = SiteNames & { prefix?: string };

/**
 * Whether the path has parts that nginx took out before it compared it, or that servers take differently: with `/x/../admin` and `//x/admin` an origin might
 * think of another path than nginx did. Then the origin gets what nginx compared.
 */
export const unnormalizedMap =
  'map $request_uri $path_detour { "~*^(?:(?:/|%2f){2}|[^?#\\\\\\\\]*(?:[#\\\\\\\\]|(?:/|%2f)(?:\\.|%2e){1,2}(?:/|%2f|[?]|$)))" 1; default ""; }';

/** Of a server: from here on `$uri` counts. */
export const useNormalizedPath = "if ($path_detour) {\n  rewrite ^ $uri break;\n}";

/** A variable: what follows the prefix in the path as the visitor wrote it, with the query. Empty if that is not plain to see. */
export const restVariable = (prefix: string): string =>
  `$rest_${createHash("sha256").update(prefix).digest("hex").slice(0, 16)}`;

/** Of http: the variables of prefixes. */
export const restMaps = (prefixes: readonly string[]): string[] =>
  [...new Set(prefixes)]
    .toSorted()
    .map(
      (prefix) =>
        `map $path_detour$request_uri ${restVariable(prefix)} { "~^${encodedOrLiteral(prefix)}(?:/|%2[fF])(?<after>[^/].*)?$" /$after; "~^${encodedOrLiteral(prefix)}(?<after>[?].*)?$" /$after; default ""; }`,
    );

/** The path as nginx understood it, without the prefix. */
export const stripPrefix = ({ prefix }: Pick<Prefixed, "prefix">): string[] =>
  prefix === undefined ? [] : [`rewrite "(?s)^${escapeRegExp(prefix)}(?:\\/(.*))?\\z" /$1 break;`];

/** Follows the name in proxy_pass. If it is empty, nginx passes its own path on, encoded again, and the query. */
export const strippedUri = ({ prefix }: Pick<Prefixed, "prefix">): string =>
  prefix === undefined ? "" : restVariable(prefix);

/** Where an application with a prefix finds it. */
export const prefixField = (prefix: string | undefined): string[] =>
  prefix === undefined ? [] : [`proxy_set_header X-Forwarded-Prefix "${prefix}";`];

/**
 * Redirects of an origin that knows its own names, and nothing of the prefix, become the site's, and are asked by https; with a prefix, paths of cookies too.
 * @param originNames names the origin may call itself
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
      // The application may have been told its prefix.
      `proxy_redirect "~*${url}(?<rest>${escapeRegExp(prefix)}(?:[/?#].*)?)$" https://${become}$rest;`,
      `proxy_redirect "~*${url}(?<rest>/.*)?$" "https://${become}${prefix}$rest";`,
    ]),
    `proxy_redirect "~^(?!${known})(?<rest>/(?!/).*)$" "${prefix}$rest";`,
    `proxy_cookie_path "~^(?!${known})(?<rest>/.+)$" "${prefix}$rest";`,
  ];
}
