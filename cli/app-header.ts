/** The header above the PoPs: the app's addresses, and whether the sites' names point to them. */
import type { EdgeConfig } from "../config/types.ts";
import { allSites, exactNames } from "../image/render/hosts.ts";
import { type Address, canonicalIp, publicAddresses } from "./addresses.ts";
import type { CliContext } from "./context.ts";
import type { Fleet } from "./fleet.ts";

export interface SiteDns {
  host: string;
  /** `here`: every record is an address of the app. `unknown`: DNS did not respond. */
  points: "here" | "elsewhere" | "nowhere" | "unknown";
  /** A and AAAA records in DNS. */
  records: string[];
}

export interface AppHeader {
  addresses: Address[];
  /** Types in the stack file that the app does not have. Empty before the first deployment. */
  missing: string[];
  dns: SiteDns[];
}

/** Time limit for DNS. */
const dnsTimeoutMs = 2_000;

export async function readAppHeader(
  context: CliContext,
  { app, fly }: Pick<Fleet, "app" | "fly">,
  config: EdgeConfig | undefined,
): Promise<AppHeader> {
  const found = await publicAddresses(app, fly);
  const addresses = found ?? [];
  const missing = found ? (config?.addresses ?? []).filter((type) => !addresses.some((it) => it.type === type)) : [];
  const hosts = exactNames(config ? allSites(config.image) : []);
  const { resolve } = context;
  const dns = resolve && addresses.length > 0 ? await Promise.all(hosts.map((host) => siteDns(host))) : [];
  return { addresses, missing, dns };

  async function siteDns(host: string): Promise<SiteDns> {
    const late = Promise.withResolvers<never>();
    const cancel = context.clock.after(dnsTimeoutMs, () => late.reject(new Error("no response")));
    try {
      const both = Promise.all((["A", "AAAA"] as const).map((type) => resolve?.(host, type) ?? []));
      const records = (await Promise.race([both, late.promise])).flat();
      return { host, points: pointsOf(records, addresses), records };
    } catch {
      return { host, points: "unknown", records: [] };
    } finally {
      cancel();
    }
  }
}

function pointsOf(records: readonly string[], addresses: readonly Address[]): SiteDns["points"] {
  if (records.length === 0) return "nowhere";
  const ours = new Set(addresses.map(({ ip }) => canonicalIp(ip)));
  return records.every((ip) => ours.has(canonicalIp(ip))) ? "here" : "elsewhere";
}

const names = { v4: "IPv4", v6: "IPv6", shared_v4: "shared IPv4" } as const;

/** e.g. `203.0.113.1, 2001:db8::1`, with `no IPv4!` if it is missing. */
export const addressesText = ({ addresses, missing }: AppHeader): string =>
  [...addresses.map(({ ip }) => ip), ...missing.map((type) => `no ${names[type as keyof typeof names]}!`)].join(", ") ||
  "no address";

/** Problems with addresses. Missing addresses are problems; DNS records are only shown. */
export const addressProblems = (app: string, { missing }: AppHeader): string[] =>
  missing.map(
    (type) =>
      `${app}: the ${names[type as keyof typeof names]} address of the stack file is missing, so visitors cannot use it. Assign one: npx pulumi up --refresh. It is a new address, so update the sites' DNS records.`,
  );

export function dnsText({ dns, addresses }: AppHeader): string[] {
  if (dns.length === 0) return [];
  const wrong = dns.filter(({ points }) => points !== "here");
  const expected = addresses.map(({ ip, type }) => `${type === "v6" ? "AAAA" : "A"} ${ip}`).join(", ");
  if (wrong.length === 0) return [`${dns.length === 1 ? dns[0]?.host : `all ${dns.length} names`} in DNS: here`];
  return wrong.map(({ host, points, records }) => {
    if (points === "unknown") return `${host} in DNS: no response`;
    return `${host} in DNS: ${points === "nowhere" ? "no address" : records.join(", ")}; expected ${expected}`;
  });
}
