import type { RequestHeaderValue } from "../spec.ts";
import { siteDigest } from "./hosts.ts";
import { headerSecretFile, headerSecretKeys, secretsFolder } from "./secrets.ts";
import type { SitePart } from "./site-parts.ts";

/** Secrets that origins are sent: variables that the module reads from files in memory (image/nginx/secret.c), empty while these are not there. */

/** A key may have dashes, a variable may not. */
const variable = (key: string): string => `$secret_${siteDigest(key)}`;

/** Directives for all of nginx. */
export const secretVariables = (parts: readonly SitePart[]): string[] =>
  headerSecretKeys(parts).map((key) => `pop_secret ${variable(key)} ${secretsFolder}/${headerSecretFile(key)};`);

/** What is sent: a text, or the variable of a secret. */
export const headerValue = (value: RequestHeaderValue): string | { variable: string } =>
  typeof value === "string" ? value : { variable: variable(value.secret) };
