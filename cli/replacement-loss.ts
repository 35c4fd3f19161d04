/** What is lost with a PoP's volume, and what of it cannot be recreated. Pure. */
import type { EdgeConfig } from "../config/types.ts";
import type { Health } from "./health.ts";

export interface Loss {
  /** Consequences of losing the volume, as sentences. */
  consequences: string[];
  /** Why the volume must not be deleted. Empty: it may. */
  blockers: string[];
}

/** @param health the PoP's health; undefined if it cannot be queried */
export function replacementLoss(
  pop: string,
  { image, adopt, secretsFile }: Pick<EdgeConfig, "image" | "adopt" | "secretsFile">,
  health: Health | undefined,
  { loseLuggage = false }: { loseLuggage?: boolean } = {},
): Loss {
  const { tailnet, certificates } = image;
  const luggage = Object.keys(image.luggage);
  const byHand = certificates ? [] : (health?.certificates ?? []).filter(({ selfSigned }) => !selfSigned);
  const consequences = [
    "The cache is lost: every page is fetched from its origin again.",
    ...(secretsFile !== undefined || tailnet?.controlPlane !== undefined
      ? ["The PoP gets a new identity: its SSH host key changes, and its secrets are encrypted for the new key."]
      : []),
    ...(tailnet
      ? [
          tailnet.controlPlane
            ? "It joins the tailnet as a new node with a new auth key."
            : "It joins the tailnet as a new node with tailscaleAuthKey from the secrets file, which must still be valid.",
        ]
      : []),
    ...(certificates?.acme
      ? ["It orders new certificates. CAs limit how many they issue for the same names (Let's Encrypt: five per week)."]
      : []),
    ...(certificates?.vault ? ["Its certificates are fetched from the vault again."] : []),
    ...(certificates
      ? []
      : [
          `New self-signed certificates are created.${health ? "" : " Certificates that were put on the volume manually are lost. The PoP cannot be queried, so it is unknown whether there are any."}`,
        ]),
    "Its logs are lost.",
    ...(luggage.length > 0 && loseLuggage
      ? [`The data of ${luggage.join(", ")} in /var/lib/luggage is lost permanently.`]
      : []),
  ];
  const blockers = [
    ...(adopt.pops[pop]?.volume === undefined
      ? []
      : [
          `its volume was adopted with its contents (fly-pops:adopt), which cannot be recreated. If they are not needed, remove it from fly-pops:adopt first`,
        ]),
    ...(luggage.length > 0 && !loseLuggage
      ? [
          `luggage (${luggage.join(", ")}) may keep data on it, in /var/lib/luggage. Back up what you need (npx fly-pops exec ${pop} tar -C /var/lib/luggage -cz .), then pass --lose-luggage`,
        ]
      : []),
    ...byHand.map(
      ({ host }) =>
        `the certificate of ${host} was put on it manually, and no vault has a copy. Back up /var/lib/pop/certs/${host}.pem and remove it there first`,
    ),
  ];
  return { consequences, blockers };
}
