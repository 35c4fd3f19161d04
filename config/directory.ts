/** Validators for ACME directories and accounts. Each `...Problem` returns why a text is rejected, as a clause, or undefined. */

import { serviceParts } from "./service-url.ts";
import { normalizeOrigin, originProblem } from "./validators.ts";

/** Directories with a short name. https://letsencrypt.org/docs/acme-protocol-updates/, https://letsencrypt.org/docs/staging-environment/ */
const directories: ReadonlyMap<string, string> = new Map([
  ["letsencrypt", "https://acme-v02.api.letsencrypt.org/directory"],
  ["staging", "https://acme-staging-v02.api.letsencrypt.org/directory"],
]);

export function directoryProblem(text: string): string | undefined {
  if (directories.has(text)) return undefined;
  const { origin, path } = serviceParts(text);
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return "expected letsencrypt, staging, or the https URL of a directory";
  const problem = originProblem(origin);
  if (problem !== undefined) return problem;
  if (!/^https:/i.test(origin)) return "must use https: ACME requests must be encrypted";
  return /^\/?$/.test(path) || /^\/[A-Za-z0-9._~/-]{1,400}$/.test(path)
    ? undefined
    : "expected a path of letters, digits, dots, dashes and slashes, without query";
}

/** The URL of a valid directory. */
export function directoryUrl(text: string): string {
  const { origin, path } = serviceParts(text);
  return directories.get(text) ?? `${normalizeOrigin(origin)}${path}`;
}

export const isLetsEncrypt = (directory: string): boolean => directory === directories.get("letsencrypt");

export const emailProblem = (text: string): string | undefined =>
  /^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+$/.test(
    text,
  )
    ? undefined
    : "expected one mail address, as in ada@example.org";

/** Name of a TSIG key, as the name server knows it. */
export const dnsKeyProblem = (text: string): string | undefined =>
  /^(?=.{1,200}$)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?$/.test(text) && !text.includes("..")
    ? undefined
    : "expected the name of a key: letters, digits, dashes, dots and _";

/** https://www.rfc-editor.org/rfc/rfc8945#section-6 */
export const dnsAlgorithms = ["hmac-sha256", "hmac-sha384", "hmac-sha512"] as const;

export const profileProblem = (text: string): string | undefined =>
  /^[A-Za-z0-9_-]{1,64}$/.test(text) ? undefined : "expected the name of a profile: letters, digits, dashes";
