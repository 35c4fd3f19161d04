/** URL of a login service: an origin and a path. `serviceProblem` returns why a text is rejected, as a clause, or undefined. */
import { isIP } from "node:net";
import { isServicePath } from "../image/render/validators.ts";
import { normalizeOrigin, originParts, originProblem } from "./validators.ts";

const example = "http://auth.tail.example:9091/api/authz/auth-request";

export function serviceProblem(text: string): string | undefined {
  const { origin, path } = serviceParts(text);
  const problem = originProblem(origin);
  if (problem !== undefined) return problem;
  if (text.includes("#")) return "must not have a fragment";
  if (path === "") return `needs a path, as in ${example}`;
  if (!isServicePath(path))
    return "expected a path and optionally a query as written in a URL, without $, quotes and spaces, 500 characters at most";
  const { scheme, host } = originParts(origin);
  if (scheme === "https" && isIP(host.replace(/^\[|\]$/g, "")) !== 0)
    return "expected a host name with https, because the certificate is issued for a name";
  return undefined;
}

export function serviceParts(text: string): { origin: string; path: string } {
  const [, origin = "", path = ""] = /^((?:[^/?#]*:\/\/)?[^/?#]*)(.*)$/s.exec(text) ?? [];
  return { origin, path };
}

/** The canonical form of a valid URL. */
export function normalizeServiceUrl(text: string): string {
  const { origin, path } = serviceParts(text);
  return `${normalizeOrigin(origin)}${path}`;
}
