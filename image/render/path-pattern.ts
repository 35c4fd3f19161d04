import { escapeRegExp } from "./validators.ts";

/**
 * Paths of rules (`paths` of a site), as users write them: `/api/` is a prefix, `/login` a single path, and `*` matches any text, including slashes. `=` before
 * a path that ends with a slash makes it a single path: `=/` is the front page. Patterns are compared with the decoded, normalized path (without `//`, `/./`
 * and `/../`), case-sensitively.
 */
export type PathPattern =
  | { kind: "exact"; path: string }
  /** Ends with a slash. Also matches the path without it. */
  | { kind: "prefix"; path: string }
  /** The texts around each `*`: at least two. */
  | { kind: "star"; parts: string[] };

/** How many `*` a pattern may have. */
export const maxStars = 4;

/** Characters of a decoded path. All others have a meaning in a URL or in nginx's language, or have several spellings. */
const pathText = /^[A-Za-z0-9._~!&'()+,=:@/*-]{1,200}$/;

/** Parses a pattern. Undefined if the text is not one. */
export function pathPattern(text: string): PathPattern | undefined {
  const exact = text.startsWith("=");
  const path = exact ? text.slice(1) : text;
  const stars = path.split("*").length - 1;
  if (!pathText.test(path) || isUnnormalized(path) || path.includes("**") || stars > maxStars) return undefined;
  if (!path.startsWith("/") && !(path.startsWith("*") && path.length > 1)) return undefined;
  if (exact) return stars === 0 ? { kind: "exact", path } : undefined;
  if (stars > 0) return { kind: "star", parts: path.split("*") };
  if (path === "/") return undefined;
  return path.endsWith("/") ? { kind: "prefix", path } : { kind: "exact", path };
}

/** Whether nginx would normalize the path: what it compares never has such a part. */
export const isUnnormalized = (path: string): boolean => /\/\/|\/\.{1,2}(?:\/|$)/.test(path);

/** Parses a pattern that config.ts has checked. */
export function parsePath(text: string): PathPattern {
  const pattern = pathPattern(text);
  if (pattern === undefined) throw new Error(`path ${JSON.stringify(text.slice(0, 80))}: not a path of a rule.`);
  return pattern;
}

/** The head of a location block. Locations with a regular expression are tried in the order of the file; exact paths come before all of them. */
export function locationHead(pattern: PathPattern): string {
  switch (pattern.kind) {
    case "exact":
      return `location = "${pattern.path}"`;
    case "prefix":
      return `location ~ "(?s)^${escapeRegExp(pattern.path.slice(0, -1))}(?:\\/|\\z)"`;
    case "star":
      return `location ~ "(?s)${starExpression(pattern.parts)}"`;
    default:
      return pattern satisfies never;
  }
}

/**
 * Matches each text at its first occurrence and the last one at the end. Atomic groups prevent backtracking, so the time grows only with the length of the
 * path.
 */
function starExpression(parts: string[]): string {
  const [first = "", ...rest] = parts;
  const last = rest.pop() ?? "";
  const between = rest.map((part) => `(?>.*?${escapeRegExp(part)})`).join("");
  return `^${escapeRegExp(first)}${between}${last === "" ? "" : `.*${escapeRegExp(last)}\\z`}`;
}

/** Whether a decoded, normalized path matches the pattern. */
export function matchesPath(pattern: PathPattern, path: string): boolean {
  switch (pattern.kind) {
    case "exact":
      return path === pattern.path;
    case "prefix":
      return path.startsWith(pattern.path) || path === pattern.path.slice(0, -1);
    case "star":
      return matchesParts(pattern.parts, path);
    default:
      return pattern satisfies never;
  }
}

function matchesParts(parts: string[], text: string): boolean {
  const [first = "", ...rest] = parts;
  const last = rest.pop() ?? "";
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}

/** Whether the first pattern matches every path that the second one matches. */
export function covers(first: PathPattern, second: PathPattern): boolean {
  if (first.kind === "star" && first.parts.join("*") === "/*") return true;
  switch (second.kind) {
    case "exact":
      return matchesPath(first, second.path);
    case "prefix":
      return matchesPath(first, second.path.slice(0, -1)) && coversText(first, `${second.path}*`);
    case "star":
      return coversText(first, fromSlash(second.parts.join("*")));
    default:
      return second satisfies never;
  }
}

/** Every path starts with a slash. */
const fromSlash = (glob: string): string => (glob.startsWith("*") && !glob.startsWith("*/") ? `/${glob}` : glob);

/** A `*` of the second pattern is treated as a character that only a `*` of the first matches. */
const coversText = (first: PathPattern, glob: string): boolean => first.kind !== "exact" && matchesPath(first, glob);

/** The prefix without its trailing slash: what `stripPrefix` removes. */
export function strippedPrefix(text: string): string {
  const pattern = parsePath(text);
  if (pattern.kind !== "prefix")
    throw new Error(`path ${JSON.stringify(text)}: not a prefix, so it cannot be stripped.`);
  return pattern.path.slice(0, -1);
}

/** For nginx's regular expressions: matches each character literally or percent-encoded. */
export const encodedOrLiteral = (text: string): string =>
  [...text].map((it) => `(?:${escapeRegExp(it)}|(?i:%${it.charCodeAt(0).toString(16).padStart(2, "0")}))`).join("");

/** A path as written in a URL. Empty is allowed. */
export const isTargetPath = (path: string): boolean =>
  path === "" ||
  (/^\/(?!\/)(?:[A-Za-z0-9._~!&'()+,=:@/-]|%[0-9A-Fa-f]{2})*\*?$/.test(path) &&
    (!path.endsWith("*") || path.endsWith("/*")));
