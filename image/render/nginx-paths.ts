import type { Denial, FilesSite, LuggageSite, RedirectSite, Site } from "../spec.ts";
import { origin, originUrl, whole } from "./names.ts";
import { block } from "./nginx-block.ts";
import { marks, setHeaders } from "./nginx-common.ts";
import type { Proxied } from "./nginx-origins.ts";
import { detourMap, restMaps, restVariable, withoutDetours } from "./nginx-prefix.ts";
import { placeOf } from "./packed-rules.ts";
import { isTargetPath, locationHead, pathOf, strippedPrefix } from "./path-pattern.ts";
import { type FilesPart, partsOf, type SitePart } from "./site-parts.ts";

/** Sites with rules by path: a location for each rule, in their order, and one for the site itself, which nginx takes last. */
export function withPaths(site: Site, passed: (part: Proxied | LuggageSite) => string[]): string[] {
  const [own, ...rules] = partsOf(site);
  if (own === undefined) return [];
  const parts = [...rules, own];
  return [
    withoutDetours,
    ...parts.flatMap((part, at) => {
      const head = part.path === undefined ? "location /" : locationHead(pathOf(part.path));
      return part.kind === "files"
        ? [block(head, files(part, at)), block(`location @missing_${at}`, missing(part))]
        : [block(head, lines(part, passed))];
    }),
  ];
}

function lines(part: Exclude<SitePart, FilesSite>, passed: (part: Proxied | LuggageSite) => string[]): string[] {
  switch (part.kind) {
    case "proxy":
    case "luggage":
      return passed(part);
    case "redirect":
      return redirected(part);
    case "deny":
      return denied(part);
    default:
      return part satisfies never;
  }
}

/** Variables that sites with rules need. */
export function pathMaps(sites: readonly Site[]): string[] {
  const parts = sites.filter((site) => site.paths).flatMap(partsOf);
  if (parts.length === 0) return [];
  const prefixes = parts.flatMap((part) => {
    if (part.kind === "redirect") return restPrefix(part) ?? [];
    return part.kind === "proxy" || part.kind === "luggage" ? (part.prefix ?? []) : [];
  });
  return [
    "",
    detourMap,
    // What an address has instead of index.html if it names a folder. nginx's own way, an internal redirect, would come by the rules again.
    "map $uri $index_of_folder { ~/$ index.html; default ''; }",
    ...restMaps(prefixes),
  ];
}

/**
 * Times of packed files mean nothing (the build fixes them, by content), so what tells versions apart is the ETag alone.
 */
export const fileHeaders = ({ headers = {} }: Pick<FilesSite, "headers">): string[] => [
  `add_header Last-Modified "";`,
  ...(Object.keys(headers).some((name) => name.toLowerCase() === "cache-control")
    ? []
    : ["add_header Cache-Control no-cache;"]),
  "add_header X-PoP $pop always;",
  ...setHeaders(headers),
];

/** What a packed file is served with. */
const serving = (part: FilesPart): string[] => [
  "charset utf-8;",
  `root "/srv/sites/${placeOf(part).root}";`,
  "if_modified_since off;",
  "gzip_static on;",
  "brotli_static on;",
  ...fileHeaders(part),
];

/** Dot files stay where they are. */
const files = (part: FilesPart, at: number): string[] => [
  ...serving(part),
  `error_page 404 @missing_${at};`,
  "try_files $uri$index_of_folder $uri.html $uri/ =404;",
  // A location of one path can hold no other, and its file is not hidden: hidden ones are not packed.
  ...(part.path !== undefined && pathOf(part.path).kind === "exact"
    ? []
    : [block("location ~ /\\.(?!well-known/)", ["return 404;"])]),
];

/** The folder's own page, or nginx's. */
function missing(part: FilesPart): string[] {
  const { at } = placeOf(part);
  return [...serving(part), `try_files "/${at === "" ? "" : `${at}/`}404.html" =404;`];
}

/** A status nobody has to be asked for. */
const denied = ({ status, headers }: Denial): string[] => [
  ...ownMarks(headers),
  `return ${whole(status, "deny", { min: 403, max: 444 })};`,
];

/** Path and query are kept, unless a rule has another path. */
export function redirected(part: RedirectSite & { path?: string }): string[] {
  const status = whole(part.status ?? 301, `${part.host}: status`, { min: 301, max: 308 });
  const { base, path } = target(part);
  const rest = restPrefix(part);
  if (rest !== undefined)
    return [
      ...ownMarks(part.headers),
      // The rest of the path is not plain to see in the address, so it could only be guessed how to spell it.
      block(`if (${restVariable(rest)} = "")`, ["return 400;"]),
      `return ${status} "${base}${path.slice(0, -2)}${restVariable(rest)}";`,
    ];
  if (path !== "") return [...ownMarks(part.headers), `return ${status} "${base}${path}$is_args$args";`];
  return [...ownMarks(part.headers), `return ${status} ${base}$request_uri;`];
}

/** nginx's headers of an answer without content, if the stack file has any of its own. */
const ownMarks = (headers?: Record<string, string>): string[] => (headers ? [...marks, ...setHeaders(headers)] : []);

/** The prefix of a rule whose target is followed by what comes after it. */
const restPrefix = (part: RedirectSite & { path?: string }): string | undefined =>
  part.path !== undefined && target(part).path.endsWith("/*") ? strippedPrefix(part.path) : undefined;

/** Where a redirect leads: a scheme with a name, and a path if it does not keep the visitor's. */
function target({ host, to, path }: RedirectSite & { path?: string }): { base: string; path: string } {
  if (path === undefined) return { base: originUrl(origin(to)), path: "" };
  const [matched, base = "", own = ""] = /^([a-z]+:\/\/[^/]*)?(\/.*)?$/s.exec(to) ?? [];
  if (matched === undefined || !isTargetPath(own))
    throw new Error(`${host}: ${JSON.stringify(to.slice(0, 80))}: not a target of a redirect.`);
  return { base: base === "" ? `https://${host}` : originUrl(origin(base)), path: own };
}
