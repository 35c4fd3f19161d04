import { ports } from "../ports.ts";
import type { ImageSpec, Vault } from "../spec.ts";
import { namesOf } from "./hosts.ts";
import { hostName, origin, originUrl } from "./names.ts";
import { secretsFolder } from "./secrets.ts";

/** Where the authorities of the vault's certificate lie in the image. */
export const vaultCaFile = "etc/pop/vault-ca.pem";

/** /etc/pop/certs.json, for `pop certs`: which certificates to fetch, and where from. Nothing in it is secret. */
export function certsConfig(
  { sites }: Pick<ImageSpec, "sites">,
  { address, ca, serverName, mount, path }: Vault,
): string {
  const certificates = sites
    .flatMap((site) =>
      namesOf(site).map((host) => ({
        host,
        ...(site.certificate !== undefined && { domain: site.certificate }),
      })),
    )
    .toSorted((a, b) => (a.host < b.host ? -1 : 1));
  const config = {
    address: originUrl(origin(address)),
    ...(ca !== undefined && { caFile: `/${vaultCaFile}` }),
    // A vault at home has a name of the tailnet, which the machine's own resolver does not know.
    nameServer: `127.0.0.1:${ports.dns}`,
    ...(serverName !== undefined && { serverName: hostName(serverName) }),
    roleIdFile: `${secretsFolder}/vaultRoleId`,
    secretIdFile: `${secretsFolder}/vaultSecretId`,
    mount,
    path,
    certificates,
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}
