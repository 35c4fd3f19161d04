/** Paths a user may write. Each `…Problem` returns why a text is refused, as a clause, or undefined. What passes is safe to render. */
import { isTargetPath, isUnnormalized, maxStars, pathPattern } from "../image/render/path-pattern.ts";
import { originProblem, plainOrigin } from "./names.ts";

type Problem = string | undefined;

const example = "takes a path, as in /api/, /login or *.css";

/** Path of a rule. */
export function pathProblem(text: string): Problem {
  if (pathPattern(text) !== undefined) return undefined;
  const path = text.replace(/^=/, "");
  if (path === "") return example;
  if (text === "/") return "takes /* for every path, or =/ for the front page alone";
  if (/^https?:\/\//i.test(text)) return "takes a path alone: the host is the site's";
  if (path.includes("?")) return "takes no query: rules compare the path alone";
  if (path.includes("%")) return "takes the path decoded, without %";
  if (/[^\x21-\x7e]/.test(path)) return "takes printable ASCII without spaces. Write * for what has other characters";
  if (/[$^|\\[\]{}<>"`#;]/.test(path)) return "takes no regular expression: * stands for any text, and that is all";
  if (!/^[/*]/.test(path)) return `begins with / or *${hint(`/${path}`)}`;
  if (isUnnormalized(path)) return "takes no //, /./ or /../: nginx takes them out before it compares";
  if (path.includes("**")) return `takes one * for any text${hint(text.replaceAll(/\*+/g, "*"))}`;
  if (text.startsWith("=") && path.includes("*")) return "takes no * after =, which is for one path";
  if (path.split("*").length - 1 > maxStars) return `takes ${maxStars} * at most`;
  if (path.length > 200) return "takes 200 characters at most";
  return path === "*" ? "takes /* for every path" : example;
}

/** Where a redirect of a rule leads. */
export function targetProblem(text: string): Problem {
  if (/[?#]/.test(text)) return "takes no query or fragment: the visitor's query is kept";
  const { base, path } = targetParts(text);
  const problem = base === "" ? undefined : originProblem(base);
  if (problem !== undefined) return problem;
  if (base === "" && !text.startsWith("/"))
    return "takes an http or https URL or a path, as in https://www.example.org or /new";
  if (path.startsWith("//")) return "takes one / at its beginning";
  if (path.includes("*") && !/^[^*]*\/\*$/.test(path)) return "takes * at its end alone, after a slash";
  return isTargetPath(path) ? undefined : "takes a path as it stands in a URL, without $, quotes and spaces";
}

/** Scheme with host and port, and the path; either may be empty. */
export function targetParts(text: string): { base: string; path: string } {
  const [, base = "", path = ""] = /^((?:[^/]*:\/\/)?[^/]*)(.*)$/s.exec(text) ?? [];
  return { base, path };
}

/** One spelling of a target without problem. */
export function plainTarget(text: string): string {
  const { base, path } = targetParts(text);
  return `${base === "" ? "" : plainOrigin(base)}${path}`;
}

const hint = (better: string): string => (pathPattern(better) === undefined ? "" : `. Write ${better}`);
