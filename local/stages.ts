/**
 * In which stages the local stack is brought up. Pure. Without a homelab first, as soon as engine, image and PoPs are there: origins at addresses, certificates
 * that the PoPs order themselves. Then, by a second deployment of the same stack, with all of Pulumi.local.yaml.
 */

export type Stage = "first" | "homelab";

const prefix = "fly-pops:";
const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Values of a stack file that hold without tailnet and vault; undefined when no site has its certificate from `acme`. `origin` takes the place of origins
 * in the tailnet: one that is not, and has a private address, would be a fault of a PoP that is in a tailnet.
 */
export function withoutHomelab(
  values: Readonly<Record<string, unknown>>,
  origin: string,
): Record<string, unknown> | undefined {
  const { [`${prefix}certificates`]: certificates, [`${prefix}sites`]: sites } = values;
  if (!isMap(certificates) || certificates.acme === undefined || !Array.isArray(sites)) return undefined;
  const ordered = sites.filter(isMap).filter((site) => isMap(site.certificate) && site.certificate.from === "acme");
  if (ordered.length === 0) return undefined;
  const gone = new Set(["tailnet", "secretsFile", "ssh"].map((key) => prefix + key));
  return {
    ...Object.fromEntries(Object.entries(values).filter(([key]) => !gone.has(key))),
    [`${prefix}sites`]: ordered.map((site) => (isInTailnet(site.origin, values) ? { ...site, origin } : site)),
    [`${prefix}certificates`]: { acme: certificates.acme },
  };
}

function isInTailnet(origin: unknown, { [`${prefix}tailnet`]: tailnet }: Readonly<Record<string, unknown>>): boolean {
  if (!isMap(tailnet) || typeof origin !== "string") return false;
  const { hostname } = URL.parse(origin) ?? {};
  return hostname?.endsWith(`.${tailnet.domain}`) ?? false;
}

export interface Asked {
  /** What the PoPs run now. */
  deployed: "nothing" | Stage;
  /** False: --no-homelab. */
  homelab: boolean;
  /** Whether the stack file has something that holds without a homelab. */
  hasFirst: boolean;
}

/** Throws a sentence when what is asked for makes no sense. */
export function stagesOf({ deployed, homelab, hasFirst }: Asked): Stage[] {
  if (homelab) return deployed === "homelab" || !hasFirst ? ["homelab"] : ["first", "homelab"];
  if (deployed === "homelab")
    throw new Error(
      "--no-homelab: the PoPs have tailnet and vault already. Nothing was changed. Leave the option out, or begin anew: npm run local -- down",
    );
  if (!hasFirst)
    throw new Error(
      "--no-homelab: no site of Pulumi.local.yaml has a certificate that the PoPs order themselves. Nothing was changed. Give one `certificate: { from: acme }`, under fly-pops:sites.",
    );
  return ["first"];
}
