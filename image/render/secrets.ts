import type { ImageSpec, Passing, ProxySite } from "../spec.ts";
import { isLuggageName, isSecretKey } from "./names.ts";
import { luggageUser } from "./users.ts";

/** Where the machine finds what was sealed to its own identity. No part of the image: the machine is given it. */
export const sealedFiles = {
  /** The user's secrets. */
  secrets: "/etc/pop/sealed.yaml",
  /** The auth key a driver made for this PoP alone. */
  tailnet: "/etc/pop/sealed-tailnet.yaml",
} as const;

/** Key of the auth key, in whichever file it is. */
export const authKeyName = "tailscaleAuthKey";

/** Where `pop-secrets` puts what was in it: memory, new at each boot. */
export const secretsFolder = "/run/secrets";

interface Secret {
  /** Its file, below `secretsFolder`. */
  name: string;
  /** Its key in the user's sops file. */
  key: string;
  /** Who may read it. */
  owner: string;
  /** Which of the sealed files has it. */
  from: keyof typeof sealedFiles;
}

/** Without `sites`, none of them has a secret. */
export type SecretsSpec = Pick<ImageSpec, "luggage" | "tailnet" | "certificates"> & Partial<Pick<ImageSpec, "sites">>;

/** What the image needs of the user's secrets, sorted by name. */
export function secrets({ sites = [], luggage, tailnet, certificates }: SecretsSpec): Secret[] {
  const withRules = sites.flatMap((site) => [site, ...(site.paths ?? [])]);
  const own = (key: string, owner: string): Secret => ({ name: key, key, owner, from: "secrets" });
  return [
    ...(tailnet ? [{ ...own(authKeyName, "root"), ...(tailnet.driver && { from: "tailnet" as const }) }] : []),
    ...(certificates?.vault ? [own("vaultRoleId", "certs"), own("vaultSecretId", "certs")] : []),
    ...(certificates?.acme?.eab === undefined ? [] : [accountSecret(certificates.acme.eab)]),
    ...(certificates?.acme?.dns === undefined ? [] : [dnsSecret(certificates.acme.dns.secret)]),
    ...Object.entries(luggage).flatMap(([name, { secrets: keys = [], user = name }]) =>
      keys.map((key) => carried(name, key, luggageUser(user))),
    ),
    ...[...new Set(sites.flatMap(({ auth }) => (auth && "basic" in auth ? auth.basic : [])))].map(
      (key): Secret => ({ name: passwordFile(key), key, owner: "nginx", from: "secrets" }),
    ),
    ...clientCertificateKeys(withRules).map(
      (key): Secret => ({ name: clientCertificateFile(key), key, owner: "nginx", from: "secrets" }),
    ),
    ...headerSecretKeys(withRules).map(
      (key): Secret => ({ name: headerSecretFile(key), key, owner: "nginx", from: "secrets" }),
    ),
  ].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** Of an external account at an authority, below `secretsFolder`: the dot keeps it apart from keys. */
export const acmeAccountFile = "acme.account";

function accountSecret(key: string): Secret {
  if (!isSecretKey(key)) throw new Error(`certificates.acme.eab: ${JSON.stringify(key)} is not the name of a secret.`);
  return { name: acmeAccountFile, key, owner: "certs", from: "secrets" };
}

/** Of the TSIG key that may set records, below `secretsFolder`. */
export const acmeDnsFile = "acme.dns";

function dnsSecret(key: string): Secret {
  if (!isSecretKey(key))
    throw new Error(`certificates.acme.dns.secret: ${JSON.stringify(key)} is not the name of a secret.`);
  return { name: acmeDnsFile, key, owner: "certs", from: "secrets" };
}

/** Of a site's passwords, below `secretsFolder`: the dot keeps its folder apart from luggage's. */
export function passwordFile(key: string): string {
  if (!isSecretKey(key)) throw new Error(`auth.basic: ${JSON.stringify(key)} is not the name of a secret.`);
  return `nginx.auth/${key}`;
}

/** Of a header that an origin is sent, below `secretsFolder`. */
export function headerSecretFile(key: string): string {
  if (!isSecretKey(key)) throw new Error(`requestHeaders: ${JSON.stringify(key)} is not the name of a secret.`);
  return `nginx.headers/${key}`;
}

/** Keys of the user's sops file that are sent to origins, sorted, each once. */
export function headerSecretKeys(
  parts: readonly { kind: string; requestHeaders?: Passing["requestHeaders"] }[],
): string[] {
  const values = parts.flatMap(({ requestHeaders = {} }) => Object.values(requestHeaders));
  return [...new Set(values.flatMap((value) => (typeof value === "string" ? [] : value.secret)))].toSorted();
}

/** Of a certificate that nginx shows origins, with its key, below `secretsFolder`. */
export function clientCertificateFile(key: string): string {
  if (!isSecretKey(key)) throw new Error(`tls.certificate: ${JSON.stringify(key)} is not the name of a secret.`);
  return `nginx.certificates/${key}`;
}

/** Keys of the user's sops file that hold such certificates, each once. */
const clientCertificateKeys = (parts: readonly { kind: string; tls?: ProxySite["tls"] }[]): string[] => [
  ...new Set(parts.flatMap(({ tls }) => tls?.certificate ?? [])),
];

function carried(luggage: string, key: string, owner: string): Secret {
  if (!isLuggageName(luggage) || !isSecretKey(key))
    throw new Error(`luggage.${luggage}.secrets: ${JSON.stringify(key)} is not the name of a secret.`);
  return { name: `${luggage}/${key}`, key, owner, from: "secrets" };
}

/** Keys the user's sops file must have, sorted, each once. */
export const wantedKeys = (spec: SecretsSpec): string[] =>
  [...new Set(secrets(spec).flatMap(({ key, from }) => (from === "secrets" ? [key] : [])))].toSorted();

/**
 * /etc/pop/secrets.json, the manifest of `pop-secrets`: a subset of sops-install-secrets'.
 * https://github.com/Mic92/sops-nix/blob/master/pkgs/sops-install-secrets/main.go
 */
export function secretsManifest(spec: SecretsSpec): string {
  const all = secrets(spec).map(({ name, key, owner, from }) => ({
    name,
    key,
    sopsFile: sealedFiles[from],
    format: "yaml",
    mode: "0400",
    owner,
    group: owner,
  }));
  return `${JSON.stringify({ secrets: all }, null, 2)}\n`;
}
