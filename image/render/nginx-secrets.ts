import type { ProxySite, RequestHeaderValue } from "../spec.ts";
import { siteDigest } from "./hosts.ts";
import { clientCertificateFile, headerSecretFile, headerSecretKeys, secretsDir } from "./secrets.ts";
import type { SitePart } from "./site-parts.ts";

/** Secrets that origins are sent: variables that the module reads from files in memory (image/nginx/secret.c), empty while these are not there. */

/** A key may have dashes, a variable may not. */
const variable = (key: string): string => `$secret_${siteDigest(key)}`;

/** Directives for all of nginx. */
export const secretVariables = (parts: readonly SitePart[]): string[] =>
  headerSecretKeys(parts).map((key) => `pop_secret ${variable(key)} ${secretsDir}/${headerSecretFile(key)};`);

/** Where secrets are. A variable in a certificate's path makes nginx read it for each connection: when nginx starts it may not be there yet. */
export const secretsVariable = (parts: readonly SitePart[]): string[] =>
  parts.some((part) => part.kind === "proxy" && part.tls?.certificate !== undefined)
    ? [`map "" $secrets { default ${secretsDir}; }`]
    : [];

/** Lines of a location whose https origins ask who connects. */
export const clientCertificate = ({ tls }: Pick<ProxySite, "tls">, module: string): string[] =>
  tls?.certificate === undefined
    ? []
    : ["ssl_certificate", "ssl_certificate_key"].map(
        (directive) => `${module}_${directive} $secrets/${clientCertificateFile(tls.certificate ?? "")};`,
      );

/** What is sent: a text, or the variable of a secret. */
export const headerValueOf = (value: RequestHeaderValue): string | { variable: string } =>
  typeof value === "string" ? value : { variable: variable(value.secret) };
