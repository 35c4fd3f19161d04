/** What is lost with the volume of a PoP, and what of it is to be had nowhere else. Pure. */
import type { EdgeConfig } from "../config/types.ts";
import type { Health } from "./health.ts";

export interface Loss {
  /** Made anew, or fetched again: what it costs to lose it, a sentence each. */
  told: string[];
  /** Why the volume must not be given up. Empty: it may. */
  refusals: string[];
}

/** @param health what the PoP says of itself; undefined when it cannot be asked */
export function lossOf(
  pop: string,
  { image, adopt, secretsFile }: Pick<EdgeConfig, "image" | "adopt" | "secretsFile">,
  health: Health | undefined,
  { loseLuggage = false }: { loseLuggage?: boolean } = {},
): Loss {
  const { tailnet, certificates } = image;
  const luggage = Object.keys(image.luggage);
  const byHand = certificates ? [] : (health?.certificates ?? []).filter(({ selfSigned }) => !selfSigned);
  const told = [
    "The cache is empty afterwards: every page is fetched from its origin once more.",
    ...(secretsFile !== undefined || tailnet?.driver !== undefined
      ? ["The PoP gets another identity: its SSH host key changes, and its secrets are sealed to the new one."]
      : []),
    ...(tailnet
      ? [
          tailnet.driver
            ? "It joins the tailnet as a new node, by a new auth key."
            : "It joins the tailnet as a new node, by tailscaleAuthKey of the secrets file, which must still be good.",
        ]
      : []),
    ...(certificates?.acme
      ? [
          "It orders its certificates anew: an authority gives only so many for the same names (Let's Encrypt: five a week).",
        ]
      : []),
    ...(certificates?.vault ? ["Its certificates come from the vault again."] : []),
    ...(certificates
      ? []
      : [
          `Its self-signed certificates are made anew.${health ? "" : " A certificate that was put on the volume by hand is lost; whether there is one cannot be seen, as the PoP cannot be asked."}`,
        ]),
    "Its logs are gone.",
    ...(luggage.length > 0 && loseLuggage
      ? [`What ${luggage.join(", ")} keeps below /var/lib/luggage is lost for good.`]
      : []),
  ];
  const refusals = [
    ...(adopt.pops[pop]?.volume === undefined
      ? []
      : [
          `its volume was taken over with all that was on it (fly-pops:adopt), which cannot be made anew. If none of that is needed, take it out of fly-pops:adopt first`,
        ]),
    ...(luggage.length > 0 && !loseLuggage
      ? [
          `luggage (${luggage.join(", ")}) may keep data on it, below /var/lib/luggage. Copy away what is needed (npx fly-pops exec ${pop} tar -C /var/lib/luggage -cz .), then say --lose-luggage`,
        ]
      : []),
    ...byHand.map(
      ({ host }) =>
        `the certificate of ${host} was put on it by hand, and there is no vault to have it from again. Keep a copy of /var/lib/pop/certs/${host}.pem and remove it there first`,
    ),
  ];
  return { told, refusals };
}
