/** `check --live`: compares the sites as visitors see them with the app. The prober is passed in. */
import type { EdgeConfig } from "../../config/types.ts";
import { allSites, exactNames, namesOf } from "../../image/render/hosts.ts";
import { isWildcard } from "../../image/render/validators.ts";
import { type Address, canonicalIp, publicAddresses, type RecordType } from "../addresses.ts";
import { endsSoon, leftText } from "../certificate-expiry.ts";
import { CliError } from "../context.ts";
import type { Finding } from "../doctor/finding.ts";
import type { Stack } from "../stack.ts";
import type { Prober, Visit } from "./prober.ts";

const recordTypes: readonly RecordType[] = ["A", "AAAA"];
const recordOf = ({ type }: Address): RecordType => (type === "v6" ? "AAAA" : "A");

export async function checkLive(
  stack: Pick<Stack, "config" | "fly">,
  outside: Prober,
  now: () => number = Date.now,
): Promise<Finding[]> {
  const { app, pops, image } = stack.config();
  const addresses = await publicAddresses(app, await stack.fly());
  if (addresses === undefined) throw new CliError(`There is no app ${app} yet. Deploy it: npx pulumi up --refresh`);
  if (addresses.length === 0)
    throw new CliError(
      `app ${app} has no public address, so visitors cannot reach it. Deploy it: npx pulumi up --refresh`,
    );
  const hosts = exactNames(allSites(image));
  const through = new Set((image.passThrough ?? []).flatMap(namesOf));
  // Concurrently, so that a name without a response does not delay the others.
  const [names, visits] = await Promise.all([
    Promise.all(hosts.map((host) => checkDns(host, addresses, outside))),
    Promise.all(
      hosts.flatMap((host) =>
        addresses.map((address) => tryVisit({ host, isThrough: through.has(host) }, address, outside)),
      ),
    ),
  ]);
  const wildcards = allSites(image).flatMap(namesOf).filter(isWildcard);
  return [
    ...names.flat(),
    ...visits.map((it) => visitFinding(it, now())),
    ...wildcards.map(wildcardFinding),
    popsFinding(pops, visits),
  ];
}

const wildcardFinding = (name: string): Finding => ({
  name,
  status: "skipped",
  detail: "matches names that are not known here",
});

/** Checks that its A and AAAA records are exactly the app's addresses. */
async function checkDns(host: string, addresses: readonly Address[], outside: Prober): Promise<Finding[]> {
  if (!outside.hasPublicDns)
    return [{ name: `${host} DNS`, status: "skipped", detail: "the local stack's names are not in DNS" }];
  return Promise.all(
    recordTypes.map(async (type): Promise<Finding> => {
      const name = `${host} ${type}`;
      const wanted = addresses.filter((it) => recordOf(it) === type).map(({ ip }) => ip);
      try {
        return dnsFinding(type, host, wanted, (await outside.resolve(host, type)).map(canonicalIp));
      } catch (error) {
        const detail = `no response from DNS, ${reasonOf(error)}`;
        return { name, status: "failed", detail, fix: `Check it yourself: dig ${type} ${host}` };
      }
    }),
  );
}

function dnsFinding(type: RecordType, host: string, wanted: readonly string[], found: readonly string[]): Finding {
  const name = `${host} ${type}`;
  const foreign = found.filter((ip) => !wanted.some((it) => canonicalIp(it) === ip));
  const missing = wanted.filter((ip) => !found.includes(canonicalIp(ip)));
  if (foreign.length > 0)
    return {
      name,
      status: "failed",
      detail: `leads to ${foreign.join(", ")}, which does not belong to the app`,
      fix:
        wanted.length > 0
          ? `Set the ${type} record of ${host} to ${wanted.join(", ")}, or leave it if a CDN is in front of the PoPs.`
          : `The app has no such address: remove the ${type} record of ${host}.`,
    };
  if (missing.length > 0)
    return {
      name,
      status: "failed",
      detail: found.length === 0 ? "no record" : `${missing.join(", ")} is missing`,
      fix: `Add the ${type} record of ${host}: ${missing.join(", ")}`,
    };
  return wanted.length === 0
    ? { name, status: "skipped", detail: "the app has no such address" }
    : { name, status: "ok", detail: wanted.join(", ") };
}

/** `isThrough`: the site has passThrough, so its own server answers and the PoP cannot be identified. */
type Visited = Address & { host: string; isThrough: boolean; visit?: Visit; error?: unknown };

async function tryVisit(
  site: Pick<Visited, "host" | "isThrough">,
  address: Address,
  outside: Prober,
): Promise<Visited> {
  try {
    return { ...address, ...site, visit: await outside.visit(site.host, address.ip) };
  } catch (error) {
    return { ...address, ...site, error };
  }
}

/** This machine has no IPv6, so the result says nothing about the site. */
const noRoute = ["ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT"];

function visitFinding({ host, isThrough, ip, type, visit, error }: Visited, now: number): Finding {
  const name = `${host} at ${ip}`;
  if (visit === undefined) {
    if (type === "v6" && noRoute.includes((error as NodeJS.ErrnoException).code ?? ""))
      return { name, status: "skipped", detail: "this machine has no IPv6" };
    return {
      name,
      status: "failed",
      detail: `no response over HTTPS, ${reasonOf(error)}`,
      fix: "Check the PoPs: npx fly-pops status",
    };
  }
  const { status, pop, certificate } = visit;
  const left = leftText(certificate.ends - now);
  const answer = `${status} from ${isThrough ? "its own server" : (pop ?? "a server that is not a PoP")}`;
  const renewal = isThrough
    ? "The site's own server presents that certificate: renew it there."
    : 'See docs/runbook.md, "A certificate ends soon"';
  if (certificate.problem !== undefined)
    return {
      name,
      status: "failed",
      detail: `${answer}, with a certificate that browsers reject: ${certificate.problem}`,
      fix: renewal,
    };
  if (endsSoon(certificate, now))
    return {
      name,
      status: "failed",
      detail: `${answer}, its certificate expires in ${left}`,
      fix: renewal,
    };
  if (status >= 500) {
    const logs = isThrough ? "See the logs of the site's own server." : `See the logs: npx fly-pops logs ${pop ?? ""}`;
    return { name, status: "failed", detail: answer, fix: logs.trimEnd() };
  }
  if (pop === undefined && !isThrough)
    return { name, status: "failed", detail: answer, fix: "Check whether another server uses this address." };
  return { name, status: "ok", detail: `${answer}, certificate for ${left}` };
}

/** Fly's proxy passes on TCP streams, so no header can select the PoP, and only the nearest ones respond. */
function popsFinding(pops: EdgeConfig["pops"], visits: readonly Visited[]): Finding {
  const answered = new Set(visits.flatMap(({ visit }) => visit?.pop ?? []));
  const silent = pops.map(({ name }) => name).filter((name) => !answered.has(name));
  return {
    name: "PoPs",
    status: silent.length === 0 ? "ok" : "skipped",
    detail:
      silent.length === 0
        ? "each of them responded"
        : `not reachable from here: ${silent.join(", ")}. Fly routes visitors to the nearest PoP. Check the others: npx fly-pops status`,
  };
}

const reasonOf = (error: unknown): string =>
  error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error);
