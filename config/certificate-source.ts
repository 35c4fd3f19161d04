/** Where a site's certificate comes from. */

/** As the stack file has it: a text is the name of one in the vault. */
export type CertificateKey = string | { from?: string | undefined; name?: string | undefined };

type Sources = { acme?: unknown; vault?: unknown } | undefined;

/** What the site says; else the vault where there is one, as before there was a choice. Undefined: each PoP signs its own. */
export function sourceOf(said: CertificateKey | undefined, sources: Sources): "acme" | "vault" | undefined {
  if (typeof said === "string") return "vault";
  if (said?.from === "acme" || said?.from === "vault") return said.from;
  if (sources?.vault !== undefined) return "vault";
  return sources?.acme === undefined ? undefined : "acme";
}

/** Name in the vault, where one is said. */
export const nameInVault = (said: CertificateKey | undefined): string | undefined =>
  typeof said === "string" ? said : said?.name;
