/** URL of a log-in service: an origin and the path that is asked. `serviceProblem` returns why a text is refused, as a clause, or undefined. */
import { isIP } from "node:net";
import { isServicePath } from "../image/render/validators.ts";
import { originParts, originProblem, plainOrigin } from "./names.ts";

const example = "http://auth.tail.example:9091/api/authz/auth-request";

export function serviceProblem(text: string): string | undefined {
  const { origin, path } = serviceParts(text);
  const problem = originProblem(origin);
  if (problem !== undefined) return problem;
  if (text.includes("#")) return "takes no fragment";
  if (path === "") return `needs the path that is asked, as in ${example}`;
  if (!isServicePath(path))
    return "takes a path and perhaps a query as they stand in a URL, without $, quotes and spaces, 500 characters at most";
  const { scheme, host } = originParts(origin);
  if (scheme === "https" && isIP(host.replace(/^\[|\]$/g, "")) !== 0)
    return "takes a name with https: the certificate has to be for it";
  return undefined;
}

export function serviceParts(text: string): { origin: string; path: string } {
  const [, origin = "", path = ""] = /^((?:[^/?#]*:\/\/)?[^/?#]*)(.*)$/s.exec(text) ?? [];
  return { origin, path };
}

/** One spelling of a URL without problem. */
export function plainService(text: string): string {
  const { origin, path } = serviceParts(text);
  return `${plainOrigin(origin)}${path}`;
}
