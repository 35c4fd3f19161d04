import type { ProxySite, RequestHeaderValue } from "../spec.ts";
import { siteDigest } from "./hosts.ts";
import { clientCertificateFile, headerSecretFile, headerSecretKeys, secretsDir } from "./secrets.ts";
import type { SitePart } from "./site-parts.ts";

/** Secrets in requests to origins: variables that the module reads from files in memory (image/nginx/secret.c). They are empty while the files are missing. */

/** Keys may have dashes, variables may not. */
const variable = (key: string): string => `$secret_${siteDigest(key)}`;

/** Directives of the `http` block. */
export const secretVariables = (parts: readonly SitePart[]): string[] =>
  headerSecretKeys(parts).map((key) => `pop_secret ${variable(key)} ${secretsDir}/${headerSecretFile(key)};`);

/**
 * Directory of secrets. With a variable in the path of a certificate, nginx reads the file for each connection; when nginx starts, the file may not exist yet.
 */
export const secretsVariable = (parts: readonly SitePart[]): string[] =>
  parts.some((part) => part.kind === "proxy" && part.tls?.certificate !== undefined)
    ? [`map "" $secrets { default ${secretsDir}; }`]
    : [];

/** Directives of a location whose https origins request a client certificate. */
export const clientCertificate = ({ tls }: Pick<ProxySite, "tls">, module: string): string[] =>
  tls?.certificate === undefined
    ? []
    : ["ssl_certificate", "ssl_certificate_key"].map(
        (directive) => `${module}_${directive} $secrets/${clientCertificateFile(tls.certificate ?? "")};`,
      );

/** Value of a header: a text, or the variable of a secret. */
export const headerValueOf = (value: RequestHeaderValue): string | { variable: string } =>
  typeof value === "string" ? value : { variable: variable(value.secret) };
