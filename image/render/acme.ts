import { ports } from "../ports.ts";
import type { Acme, ImageSpec } from "../spec.ts";
import { namesOf } from "./hosts.ts";
import { certificateCacheSeconds } from "./nginx-common.ts";
import { acmeAccountFile, acmeDnsFile, acmeShareFile, secretsDir } from "./secrets.ts";
import { hostName, parseEndpoint, siteName, zoneName } from "./validators.ts";

/** Where the authorities of the directories' own certificates lie in the image. */
export const acmeCaFile = "etc/pop/acme-ca.pem";

/** Where nginx passes challenges on to: a directory for `pop certs` and nginx alone, so that no luggage makes this PoP ask its peers. */
export const challengeDir = "/run/pop/challenges";
export const challengeSocket = `${challengeDir}/socket`;

/** Account keys, orders and pairs. */
export const acmeDir = "/var/lib/pop/acme";

/** Variables that `pop certs` gets from the machine and not from the image: image/pop/acme/environment.go. */
export const acmeVariables = {
  /** The app's addresses, with spaces between them. */
  addresses: "POP_ADDRESSES",
  pop: "POP_NAME",
  app: "FLY_APP_NAME",
  private: "FLY_PRIVATE_IP",
  /** The resolver that knows the app's other machines, if it is not Fly's. */
  peers: "POP_PEER_RESOLVER",
} as const;

type AcmeSpec = Pick<ImageSpec, "sites" | "dns" | "tailnet">;

export const isOrdered = ({ certificateFrom }: { certificateFrom?: "acme" }): boolean => certificateFrom === "acme";

/** Names whose certificates the PoPs order themselves. */
export const orderedNames = ({ sites }: Pick<ImageSpec, "sites">): string[] =>
  sites.filter(isOrdered).flatMap(namesOf).toSorted();

/** The part `acme` of /etc/pop/certs.json. Nothing in it is secret. */
export function acmeConfig({ sites, dns, tailnet }: AcmeSpec, acme: Acme) {
  const certificates = sites
    .filter(isOrdered)
    .map((site) => ({ names: namesOf(site).map(acme.dns === undefined ? hostName : siteName) }))
    .toSorted((a, b) => ((a.names[0] ?? "") < (b.names[0] ?? "") ? -1 : 1));
  return {
    directories: acme.directories,
    email: acme.email,
    ...(acme.profile !== undefined && { profile: acme.profile }),
    ...(acme.ca !== undefined && { caFile: `/${acmeCaFile}` }),
    ...(acme.eab !== undefined && { eabFile: `${secretsDir}/${acmeAccountFile}` }),
    ...(acme.share !== undefined && { shareFile: `${secretsDir}/${acmeShareFile}` }),
    ...(acme.dns !== undefined && {
      dns: {
        server: hostPort(acme.dns.server),
        key: acme.dns.key,
        ...(acme.dns.algorithm !== undefined && { algorithm: acme.dns.algorithm }),
        secretFile: `${secretsDir}/${acmeDnsFile}`,
      },
    }),
    nameServer: `127.0.0.1:${ports.dns}`,
    privateZones: privateZones({ dns, tailnet }),
    peerPort: ports.challenges,
    nginxCacheSeconds: certificateCacheSeconds,
    servedNames: sites.flatMap(namesOf).map(siteName).toSorted(),
    certificates,
  };
}

const hostPort = (text: string): string => {
  const { host, port } = parseEndpoint(text);
  return `${host}:${port}`;
};

/** What these say of a name is not what the world sees. With the whole tree forwarded there is no other resolver to ask. */
const privateZones = ({
  dns,
  tailnet,
}: Pick<ImageSpec, "dns"> & { tailnet: ImageSpec["tailnet"] | undefined }): string[] =>
  [...dns.forward.map(({ zone }) => zone), ...(tailnet ? [tailnet.domain] : [])]
    .map((zone) => zoneName(zone).replace(/\.$/, ""))
    .filter((zone) => zone !== "")
    .toSorted();
