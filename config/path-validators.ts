/** Validators for paths. Each `…Problem` returns why a text is rejected, as a clause, or undefined. Valid texts are safe to render. */
import { isTargetPath, isUnnormalized, maxStars, pathPattern } from "../image/render/path-pattern.ts";
import { normalizeOrigin, originProblem } from "./validators.ts";

type Problem = string | undefined;

const example = "expected a path, as in /api/, /login or *.css";

/** Path of a rule. */
export function pathProblem(text: string): Problem {
  if (pathPattern(text) !== undefined) return undefined;
  const path = text.replace(/^=/, "");
  if (path === "") return example;
  if (text === "/") return "use /* for every path, or =/ for the front page only";
  if (/^https?:\/\//i.test(text)) return "expected a path only: the host is the site's";
  if (path.includes("?")) return "must not have a query: rules match the path only";
  if (path.includes("%")) return "expected the decoded path, without %";
  if (/[^\x21-\x7e]/.test(path))
    return "expected printable ASCII without spaces. Write * for what has other characters";
  if (/[$^|\\[\]{}<>"`#;]/.test(path)) return "regular expressions are not supported, only * for any text";
  if (!/^[/*]/.test(path)) return `must begin with / or *${hint(`/${path}`)}`;
  if (isUnnormalized(path)) return "must not contain //, /./ or /../: nginx removes them before it matches";
  if (path.includes("**")) return `use a single * for any text${hint(text.replaceAll(/\*+/g, "*"))}`;
  if (text.startsWith("=") && path.includes("*")) return "must not contain * after =, which matches a single path";
  if (path.split("*").length - 1 > maxStars) return `at most ${maxStars} * are allowed`;
  if (path.length > 200) return "at most 200 characters are allowed";
  return path === "*" ? "use /* for every path" : example;
}

/** The target of a rule's redirect. */
export function targetProblem(text: string): Problem {
  if (/[?#]/.test(text)) return "must not have a query or fragment: the visitor's query is kept";
  const { base, path } = targetParts(text);
  const problem = base === "" ? undefined : originProblem(base);
  if (problem !== undefined) return problem;
  if (base === "" && !text.startsWith("/"))
    return "expected an http or https URL or a path, as in https://www.example.org or /new";
  if (path.startsWith("//")) return "must begin with a single /";
  if (path.includes("*") && !/^[^*]*\/\*$/.test(path)) return "* is allowed at the end only, after a slash";
  return isTargetPath(path) ? undefined : "expected a path as written in a URL, without $, quotes and spaces";
}

/** Scheme with host and port, and the path; either may be empty. */
export function targetParts(text: string): { base: string; path: string } {
  const [, base = "", path = ""] = /^((?:[^/]*:\/\/)?[^/]*)(.*)$/s.exec(text) ?? [];
  return { base, path };
}

/** The canonical form of a valid target. */
export function normalizeTarget(text: string): string {
  const { base, path } = targetParts(text);
  return `${base === "" ? "" : normalizeOrigin(base)}${path}`;
}

const hint = (better: string): string => (pathPattern(better) === undefined ? "" : `. Write ${better}`);
