import { ports } from "../ports.ts";
import type { ImageSpec, Vault } from "../spec.ts";
import { acmeConfig, isOrdered } from "./acme.ts";
import { namesOf } from "./hosts.ts";
import { secretsDir } from "./secrets.ts";
import { hostName, originUrl, parseOrigin } from "./validators.ts";

/** Where the authorities of the vault's certificate lie in the image. */
export const vaultCaFile = "etc/pop/vault-ca.pem";

type CertsSpec = Pick<ImageSpec, "sites" | "dns" | "tailnet" | "certificates">;

/** Sites whose certificates lie in the vault. */
export const vaultSites = ({ sites, certificates }: Pick<ImageSpec, "sites" | "certificates">): ImageSpec["sites"] =>
  certificates?.vault === undefined ? [] : sites.filter((site) => !isOrdered(site));

/** /etc/pop/certs.json, for `pop certs`: which certificates to fetch or to order, and where from. Nothing in it is secret. Undefined: there are none. */
export function certsConfig(spec: CertsSpec): string | undefined {
  const { acme, vault } = spec.certificates ?? {};
  const fetched = vaultSites(spec);
  const ordered = spec.sites.filter(isOrdered);
  if (fetched.length + ordered.length === 0) return undefined;
  const config = {
    ...(acme !== undefined && ordered.length > 0 && { acme: acmeConfig(spec, acme) }),
    ...(vault !== undefined && fetched.length > 0 && vaultConfig(fetched, vault)),
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

function vaultConfig(
  sites: ImageSpec["sites"],
  { address, ca, serverName, namespace, authMount, mount, kvVersion, path, fields, secretId }: Vault,
) {
  const certificates = sites
    .flatMap((site) =>
      namesOf(site).map((host) => ({
        host,
        ...(site.certificate !== undefined && { domain: site.certificate }),
      })),
    )
    .toSorted((a, b) => (a.host < b.host ? -1 : 1));
  return {
    address: originUrl(parseOrigin(address)),
    ...(ca !== undefined && { caFile: `/${vaultCaFile}` }),
    // A vault at home has a name of the tailnet, which the machine's own resolver does not know.
    nameServer: `127.0.0.1:${ports.dns}`,
    ...(serverName !== undefined && { serverName: hostName(serverName) }),
    roleIdFile: `${secretsDir}/vaultRoleId`,
    secretIdFile: `${secretsDir}/vaultSecretId`,
    ...(namespace !== undefined && { namespace }),
    ...(authMount !== undefined && { authMount }),
    mount,
    ...(kvVersion !== undefined && { kvVersion }),
    path,
    ...(fields !== undefined && { fields }),
    ...(secretId !== undefined && { secretId }),
    certificates,
  };
}
