import type { Denial, FilesSite, LuggageSite, RedirectSite, Site } from "../spec.ts";
import { requestedName } from "./hosts.ts";
import { locationAccess } from "./nginx-access.ts";
import { block } from "./nginx-block.ts";
import { compressed, marks, setHeaders } from "./nginx-common.ts";
import { limitLines, scopeOf } from "./nginx-limits.ts";
import { isForward } from "./nginx-login.ts";
import { loginOff } from "./nginx-login-off.ts";
import { errorLocation, errorPage } from "./nginx-pages.ts";
import { restMaps, restVariable, unnormalizedMap, useNormalizedPath } from "./nginx-prefix.ts";
import { presetLines } from "./nginx-presets.ts";
import type { ProxyPart } from "./origins.ts";
import { packedDir } from "./packed-rules.ts";
import { isTargetPath, locationHead, parsePath, strippedPrefix } from "./path-pattern.ts";
import { type FilesPart, partsOf, type SitePart } from "./site-parts.ts";
import { boundedInt, originUrl, parseOrigin } from "./validators.ts";

/** Sites with rules by path: a location for each rule, in order, and one for the site itself, which nginx tries last. */
export function pathLocations(site: Site, proxyLines: (part: ProxyPart | LuggageSite) => string[]): string[] {
  const [sitePart, ...rules] = partsOf(site);
  if (sitePart === undefined) return [];
  return [
    useNormalizedPath,
    ...rules.flatMap((rule, at) => {
      const head = locationHead(parsePath(rule.path ?? ""));
      return rule.kind === "files"
        ? [
            block(head, [...ruleLines(rule), errorPage(at), ...fileLines(rule)]),
            errorLocation(rule, `srv/sites/${rootDir(rule)}`, at),
          ]
        : [block(head, [...ruleLines(rule), ...contentLines(rule, proxyLines)])];
    }),
    block("location /", sitePart.kind === "files" ? fileLines(sitePart) : contentLines(sitePart, proxyLines)),
  ];
}

/** Directives of a rule other than its content. */
function ruleLines(rule: SitePart): string[] {
  if (rule.kind === "deny") return [];
  const { access, auth, limit } = rule;
  return [
    ...(access ? locationAccess(access) : []),
    ...(auth && rule.open ? [loginOff(auth)] : []),
    ...(limit ? limitLines(scopeOf(rule), limit) : []),
    ...compressed(rule),
  ];
}

function contentLines(
  part: Exclude<SitePart, FilesSite>,
  proxyLines: (part: ProxyPart | LuggageSite) => string[],
): string[] {
  switch (part.kind) {
    case "proxy":
    case "luggage":
      return proxyLines(part);
    case "redirect":
      return redirectLines(part);
    case "deny":
      return denyLines(part);
    default:
      return part satisfies never;
  }
}

/** Variables for sites with rules. */
export function pathMaps(sites: readonly Site[]): string[] {
  const parts = sites.filter((site) => site.paths).flatMap(partsOf);
  if (parts.length === 0) return sites.some(({ auth }) => isForward(auth)) ? ["", unnormalizedMap] : [];
  const prefixes = parts.flatMap((part) => {
    if (part.kind === "redirect") return restPrefix(part) ?? [];
    return part.kind === "proxy" || part.kind === "luggage" ? (part.prefix ?? []) : [];
  });
  return [
    "",
    unnormalizedMap,
    // Appended to the path of a directory. nginx's `index` uses an internal redirect, which would be matched against the rules again.
    "map $uri $index_of_dir { ~/$ index.html; default ''; }",
    ...restMaps(prefixes),
  ];
}

/** The build sets times of packed files from their content, so Last-Modified would be meaningless: the ETag alone tells versions apart. */
export const fileHeaders = (site: Pick<FilesSite, "headers" | "hsts" | "securityHeaders">): string[] => {
  const { headers = {} } = site;
  return [
    `add_header Last-Modified "";`,
    ...(Object.keys(headers).some((name) => name.toLowerCase() === "cache-control")
      ? []
      : ["add_header Cache-Control no-cache;"]),
    "add_header X-PoP $pop always;",
    ...setHeaders(headers),
    ...presetLines(site),
  ];
};

/** Sends the files that the build has compressed (image/build/precompress). */
export const precompressed = ({ compress }: Pick<FilesSite, "compress">): string[] =>
  compress === false ? [] : ["gzip_static on;", "brotli_static on;"];

/** Directory of a part's files below /srv/sites. */
function rootDir(part: FilesPart): string {
  const { root, subdir } = packedDir(part);
  return subdir === "" ? root : `${root}/${subdir}`;
}

/** Hidden files are not served. */
const fileLines = (part: FilesPart): string[] => [
  "charset utf-8;",
  `root "/srv/sites/${packedDir(part).root}";`,
  "if_modified_since off;",
  ...precompressed(part),
  ...fileHeaders(part),
  // Not an internal redirect: it would be matched against the rules again.
  `try_files $uri$index_of_dir $uri.html $uri/ ${part.spa ? "$uri/index.html /index.html " : ""}=404;`,
  // An exact location cannot contain others. Its file is not hidden: hidden files are not packed.
  ...(part.path !== undefined && parsePath(part.path).kind === "exact" ? [] : hiddenFiles),
  ...(part.spa ? assetLocations : []),
];

export const hiddenFiles = [block("location ~ /\\.(?!well-known/)", ["return 404;"])];

/** Extensions of files that pages load. An application's own paths may contain a dot too, such as /users/jane.doe. */
const assets =
  "avif|bmp|css|eot|gif|gz|ico|jpe?g|js|json|map|md|mjs|mp3|mp4|ogg|otf|pdf|png|svg|ttf|txt|wasm|webm|webmanifest|webp|woff2?|xml|zip";

/** Of single-page applications: missing assets (a page of an earlier version may still request them) and missing well-known paths get 404, not index.html. */
export const assetLocations = [
  block("location ^~ /.well-known/", ["try_files $uri =404;"]),
  block(`location ~* \\.(?:${assets})$`, ["try_files $uri =404;"]),
];

/** Answers with a status alone. */
const denyLines = (part: DenyPart): string[] => [
  ...bodylessHeaders(part),
  `return ${boundedInt(part.status, "deny", { min: 403, max: 444 })};`,
];

/** Path and query are kept, unless the target of a rule has a path. */
export function redirectLines(part: RedirectSite & { path?: string }): string[] {
  const status = boundedInt(part.status ?? 301, `${part.host}: status`, { min: 301, max: 308 });
  const { base, path } = redirectTarget(part);
  const rest = restPrefix(part);
  if (rest !== undefined)
    return [
      ...bodylessHeaders(part),
      // The rest of the path is ambiguous, so its spelling could only be guessed.
      block(`if (${restVariable(rest)} = "")`, ["return 400;"]),
      `return ${status} "${base}${path.slice(0, -2)}${restVariable(rest)}";`,
    ];
  if (path !== "") return [...bodylessHeaders(part), `return ${status} "${base}${path}$is_args$args";`];
  return [...bodylessHeaders(part), `return ${status} ${base}$request_uri;`];
}

type DenyPart = Extract<SitePart, Denial>;

/** Headers of an answer without content, if the stack file sets any. */
function bodylessHeaders(part: Pick<Site, "headers" | "hsts" | "securityHeaders">): string[] {
  const own = [...setHeaders(part.headers ?? {}), ...presetLines(part)];
  return own.length > 0 ? [...marks, ...own] : [];
}

/** The prefix of a rule whose target is followed by the rest of the path. */
const restPrefix = (part: RedirectSite & { path?: string }): string | undefined =>
  part.path !== undefined && redirectTarget(part).path.endsWith("/*") ? strippedPrefix(part.path) : undefined;

/** The target of a redirect: scheme and name, and a path if it replaces the visitor's. */
function redirectTarget(part: RedirectSite & { path?: string }): { base: string; path: string } {
  const { host, to, path } = part;
  if (path === undefined) return { base: originUrl(parseOrigin(to)), path: "" };
  const [matched, base = "", own = ""] = /^([a-z]+:\/\/[^/]*)?(\/.*)?$/s.exec(to) ?? [];
  if (matched === undefined || !isTargetPath(own))
    throw new Error(`${host}: ${JSON.stringify(to.slice(0, 80))}: not a valid target of a redirect.`);
  return { base: base === "" ? `https://${requestedName(part)}` : originUrl(parseOrigin(base)), path: own };
}
