/** What Let's Encrypt gives in a week, beside what a fleet orders: each PoP has certificates of its own, unless they share. Pure. */
import { isOrdered } from "../image/render/acme.ts";
import { namesOf } from "../image/render/hosts.ts";
import type { ImageSpec } from "../image/spec.ts";
import { isLetsEncrypt } from "./directory.ts";

/** https://letsencrypt.org/docs/rate-limits/, as of November 2026. Renewals by ARI do not count. */
export const weekly = {
  /** Certificates for the same set of names; one more every `refillHours`. */
  identical: 5,
  refillHours: 34,
  /** Certificates below one registered domain. */
  domain: 50,
} as const;

interface Orders {
  /** Certificates that all PoPs order together. */
  certificates: number;
  /** What is beyond Let's Encrypt's limits, a sentence each; empty: nothing is. */
  beyond: string[];
}

/** How many PoPs of a fleet order a certificate of the same names: one for all, if they share. */
export const ordering = (fleet: number, certificates: ImageSpec["certificates"]): number =>
  certificates?.acme?.share === undefined ? fleet : Math.min(fleet, 1);

/** Undefined: nothing is ordered. */
export function orders(
  fleet: number,
  { sites, certificates }: Pick<ImageSpec, "sites" | "certificates">,
): Orders | undefined {
  const ordered = sites.filter(isOrdered);
  if (certificates?.acme === undefined || ordered.length === 0) return undefined;
  const pops = ordering(fleet, certificates);
  const all = pops * ordered.length;
  // Another authority steps in where the first one's limit is reached.
  if (!certificates.acme.directories.every(isLetsEncrypt)) return { certificates: all, beyond: [] };
  const domains = [...Map.groupBy(ordered, (site) => registered(namesOf(site)[0] ?? ""))]
    .map(([domain, { length }]) => ({ domain, count: pops * length }))
    .filter(({ count }) => count > weekly.domain);
  return {
    certificates: all,
    beyond: [
      ...(pops > weekly.identical ? [tooManyPops(pops)] : []),
      ...domains.map(
        ({ domain, count }) =>
          `${count} certificates below ${domain} are ordered by ${pops === 1 ? "one PoP" : `${pops} PoPs`}, and Let's Encrypt gives ${weekly.domain} a week below one domain, so some come a week later: ${consequences} ${remedies(pops)}`,
      ),
    ],
  };
}

const consequences =
  "until then a PoP in service shows self-signed certificates, which browsers warn of; a new PoP gets no visitors as long as others serve, and its deployment fails after rollout.timeout.";

/** Sharing, and adding PoPs more slowly, help only if more than one orders. */
const remedies = (pops: number): string =>
  pops === 1
    ? "Take certificates.vault (docs/secrets.md#certificates), name another authority under certificates.acme.fallback, or add sites a few a week."
    : "Have the PoPs share one (certificates.acme.share) or take certificates.vault, which has one for all (docs/secrets.md#certificates), name another authority under certificates.acme.fallback, or add PoPs a few a week.";

function tooManyPops(pops: number): string {
  const hours = (pops - weekly.identical) * weekly.refillHours;
  const last = hours < 72 ? `${hours} hours` : `${Math.round(hours / 24)} days`;
  return `${pops} PoPs order a certificate each for the same names, and Let's Encrypt gives ${weekly.identical} a week, then one every ${weekly.refillHours} hours: the last PoP has its own after ${last}; ${consequences} ${remedies(pops)}`;
}

/** What a registrar sold, near enough for a warning: example.org of www.example.org, and example.co.uk. https://publicsuffix.org has all exceptions. */
export function registered(name: string): string {
  const labels = name.split(".");
  const [, second = "", top = ""] = ["", ...labels.slice(-2)];
  return labels.slice(top.length === 2 && second.length <= 3 ? -3 : -2).join(".");
}
