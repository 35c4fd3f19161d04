/**
 * In which stages the local stack is brought up. Pure. Without a homelab first, as soon as engine, image and PoPs are there: origins at addresses, certificates
 * that the PoPs order themselves. Then, by a second deployment of the same stack, with all of Pulumi.local.yaml.
 */
import { keyPrefix } from "../../config/keys.ts";

export type Stage = "first" | "homelab";

type Values = Record<string, unknown>;
const isMap = (value: unknown): value is Values => typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Values of a stack file that hold without tailnet and vault; undefined when no site has its certificate from `acme`. `origin` takes the place of origins
 * in the tailnet: one that is not, and has a private address, would be a fault of a PoP that is in a tailnet.
 */
export function withoutHomelab(values: Readonly<Values>, origin: string): Values | undefined {
  const { [`${keyPrefix}certificates`]: certificates, [`${keyPrefix}sites`]: sites } = values;
  if (!isMap(certificates) || certificates.acme === undefined || !Array.isArray(sites)) return undefined;
  const ordered = sites.filter(isMap).filter((site) => isMap(site.certificate) && site.certificate.from === "acme");
  if (ordered.length === 0) return undefined;
  const { [`${keyPrefix}tailnet`]: tailnet } = values;
  const domain = isMap(tailnet) && typeof tailnet.domain === "string" ? tailnet.domain : undefined;
  const gone = new Set(["tailnet", "secretsFile", "ssh"].map((key) => keyPrefix + key));
  return {
    ...Object.fromEntries(Object.entries(values).filter(([key]) => !gone.has(key))),
    [`${keyPrefix}sites`]: ordered.map((site) => withOrigin(site, domain, origin)),
    [`${keyPrefix}certificates`]: { acme: certificates.acme },
  };
}

/** A site, or a rule of one, with `instead` for its origins in the tailnet, and so for those of its rules. */
function withOrigin(it: Values, domain: string | undefined, instead: string): Values {
  const replaced = (origin: unknown) => (isBelow(origin, domain) ? instead : origin);
  const { origin, paths } = it;
  return {
    ...it,
    // Once each: a list must not name an origin twice.
    ...("origin" in it && { origin: Array.isArray(origin) ? [...new Set(origin.map(replaced))] : replaced(origin) }),
    ...(Array.isArray(paths) && {
      paths: paths.map((rule: unknown) => (isMap(rule) ? withOrigin(rule, domain, instead) : rule)),
    }),
  };
}

const isBelow = (origin: unknown, domain: string | undefined): boolean =>
  domain !== undefined && typeof origin === "string" && !!URL.parse(origin)?.hostname.endsWith(`.${domain}`);

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
      "--no-homelab: the PoPs have tailnet and vault already. Nothing was changed. Leave the option out, or start from nothing: npm run local -- down",
    );
  if (!hasFirst)
    throw new Error(
      "--no-homelab: no site of Pulumi.local.yaml has a certificate that the PoPs order themselves. Nothing was changed. Give one `certificate: { from: acme }`, under fly-pops:sites.",
    );
  return ["first"];
}
