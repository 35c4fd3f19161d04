import type { ImageSpec, ProxyOptions, ProxySite } from "../spec.ts";
import { luggageUser } from "./users.ts";
import { isLuggageName, isSecretKey } from "./validators.ts";

/** Where the machine finds files that are encrypted for its identity. They are not part of the image: the machine's config provides them. */
export const sealedFiles = {
  /** The user's secrets. */
  secrets: "/etc/pop/sealed.yaml",
  /** The auth key that the control plane created for this PoP. */
  tailnet: "/etc/pop/sealed-tailnet.yaml",
} as const;

/** Key of the auth key, in either file. */
export const authKeyName = "tailscaleAuthKey";

/** Where `pop-secrets` writes decrypted secrets: in memory, new at each boot. */
export const secretsDir = "/run/secrets";

interface Secret {
  /** Its file, relative to `secretsDir`. */
  name: string;
  /** Its key in the user's sops file. */
  key: string;
  /** Who may read it. */
  owner: string;
  /** The sealed file that has it. */
  from: keyof typeof sealedFiles;
}

/** `sites` may be left out if none of them has a secret. */
export type SecretsSpec = Pick<ImageSpec, "luggage" | "tailnet" | "certificates"> & Partial<Pick<ImageSpec, "sites">>;

/** The secrets that the image needs, sorted by name. */
export function secrets({ sites = [], luggage, tailnet, certificates }: SecretsSpec): Secret[] {
  const withRules = sites.flatMap((site) => [site, ...(site.paths ?? [])]);
  const own = (key: string, owner: string): Secret => ({ name: key, key, owner, from: "secrets" });
  return [
    ...(tailnet ? [{ ...own(authKeyName, "root"), ...(tailnet.controlPlane && { from: "tailnet" as const }) }] : []),
    ...(certificates?.vault ? [own("vaultRoleId", "certs"), own("vaultSecretId", "certs")] : []),
    ...(certificates?.acme?.eab === undefined ? [] : [acmeSecret("eab", acmeAccountFile, certificates.acme.eab)]),
    ...(certificates?.acme?.share === undefined ? [] : [acmeSecret("share", acmeShareFile, certificates.acme.share)]),
    ...(certificates?.acme?.dns === undefined
      ? []
      : [acmeSecret("dns.secret", acmeDnsFile, certificates.acme.dns.secret)]),
    ...Object.entries(luggage).flatMap(([name, { secrets: keys = [], user = name }]) =>
      keys.map((key) => luggageSecret(name, key, luggageUser(user))),
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

/** File of the external account at a CA, relative to `secretsDir`. The dot keeps it apart from keys. */
export const acmeAccountFile = "acme.account";

/** What PoPs share certificates by. */
export const acmeShareFile = "acme.share";

function acmeSecret(field: "eab" | "share" | "dns.secret", name: string, key: string): Secret {
  if (!isSecretKey(key))
    throw new Error(`certificates.acme.${field}: ${JSON.stringify(key)} is not the name of a secret.`);
  return { name, key, owner: "certs", from: "secrets" };
}

/** File of the TSIG key that may set records, relative to `secretsDir`. */
export const acmeDnsFile = "acme.dns";

/** File of a site's passwords, relative to `secretsDir`. The dot keeps its directory apart from those of luggage. */
export function passwordFile(key: string): string {
  if (!isSecretKey(key)) throw new Error(`auth.basic: ${JSON.stringify(key)} is not the name of a secret.`);
  return `nginx.auth/${key}`;
}

/** File of a request header's value, relative to `secretsDir`. */
export function headerSecretFile(key: string): string {
  if (!isSecretKey(key)) throw new Error(`requestHeaders: ${JSON.stringify(key)} is not the name of a secret.`);
  return `nginx.headers/${key}`;
}

/** Keys of the user's sops file whose values are sent to origins, sorted, without duplicates. */
export function headerSecretKeys(
  parts: readonly { kind: string; requestHeaders?: ProxyOptions["requestHeaders"] }[],
): string[] {
  const values = parts.flatMap(({ requestHeaders = {} }) => Object.values(requestHeaders));
  return [...new Set(values.flatMap((value) => (typeof value === "string" ? [] : value.secret)))].toSorted();
}

/** File of a client certificate and its key, relative to `secretsDir`. */
export function clientCertificateFile(key: string): string {
  if (!isSecretKey(key)) throw new Error(`tls.certificate: ${JSON.stringify(key)} is not the name of a secret.`);
  return `nginx.certificates/${key}`;
}

/** Keys of the user's sops file that hold client certificates, without duplicates. */
const clientCertificateKeys = (parts: readonly { kind: string; tls?: ProxySite["tls"] }[]): string[] => [
  ...new Set(parts.flatMap(({ tls }) => tls?.certificate ?? [])),
];

function luggageSecret(luggage: string, key: string, owner: string): Secret {
  if (!isLuggageName(luggage) || !isSecretKey(key))
    throw new Error(`luggage.${luggage}.secrets: ${JSON.stringify(key)} is not the name of a secret.`);
  return { name: `${luggage}/${key}`, key, owner, from: "secrets" };
}

/** Keys that the user's sops file must have, sorted, without duplicates. */
export const requiredKeys = (spec: SecretsSpec): string[] =>
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
