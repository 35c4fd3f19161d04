/** `check --live`: the sites as visitors meet them, against what the app has. What asks is handed in. */
import type { EdgeConfig } from "../../config/types.ts";
import { allSites, exactNames, namesOf } from "../../image/render/hosts.ts";
import { isWildcard } from "../../image/render/validators.ts";
import { type Address, canonicalIp, publicAddresses, type RecordType } from "../addresses.ts";
import { endsSoon, leftText } from "../certificate-end.ts";
import type { Finding } from "../commands/doctor.ts";
import type { Stack } from "../stack.ts";
import { Refusal } from "../world.ts";
import type { Outside, Visit } from "./outside.ts";

const recordTypes: readonly RecordType[] = ["A", "AAAA"];
const recordOf = ({ type }: Address): RecordType => (type === "v6" ? "AAAA" : "A");

export async function checkLive(
  stack: Pick<Stack, "config" | "fly">,
  outside: Outside,
  now: () => number = Date.now,
): Promise<Finding[]> {
  const { app, pops, image } = stack.config();
  const addresses = await publicAddresses(app, await stack.fly());
  if (addresses === undefined) throw new Refusal(`There is no app ${app} yet. Deploy it: npx pulumi up --refresh`);
  if (addresses.length === 0)
    throw new Refusal(`app ${app} has no public address, so no visitor reaches it. Deploy it: npx pulumi up --refresh`);
  const hosts = exactNames(allSites(image));
  const through = new Set((image.passThrough ?? []).flatMap(namesOf));
  // All side by side: a name that nobody answers for keeps nobody else waiting.
  const [names, visits] = await Promise.all([
    Promise.all(hosts.map((host) => namesCheck(host, addresses, outside))),
    Promise.all(
      hosts.flatMap((host) =>
        addresses.map((address) => visitOf({ host, isThrough: through.has(host) }, address, outside)),
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
  verdict: "skipped",
  detail: "stands for names that are not known here",
});

/** Its A and AAAA records are the app's addresses, all of them and no others. */
async function namesCheck(host: string, addresses: readonly Address[], outside: Outside): Promise<Finding[]> {
  if (!outside.hasNames)
    return [{ name: `${host} DNS`, verdict: "skipped", detail: "names of the local stack are in no DNS" }];
  return Promise.all(
    recordTypes.map(async (type): Promise<Finding> => {
      const name = `${host} ${type}`;
      const wanted = addresses.filter((it) => recordOf(it) === type).map(({ ip }) => ip);
      try {
        return namesFinding(type, host, wanted, (await outside.resolve(host, type)).map(canonicalIp));
      } catch (error) {
        const detail = `no answer from DNS, ${reasonOf(error)}`;
        return { name, verdict: "bad", detail, fix: `Ask for it by hand: dig ${type} ${host}` };
      }
    }),
  );
}

function namesFinding(type: RecordType, host: string, wanted: readonly string[], found: readonly string[]): Finding {
  const name = `${host} ${type}`;
  const foreign = found.filter((ip) => !wanted.some((it) => canonicalIp(it) === ip));
  const missing = wanted.filter((ip) => !found.includes(canonicalIp(ip)));
  if (foreign.length > 0)
    return {
      name,
      verdict: "bad",
      detail: `leads to ${foreign.join(", ")}, which is not the app's`,
      fix:
        wanted.length > 0
          ? `Set the ${type} record of ${host} to ${wanted.join(", ")}, or leave it if a CDN stands before the PoPs.`
          : `The app has no such address: take the ${type} record of ${host} away.`,
    };
  if (missing.length > 0)
    return {
      name,
      verdict: "bad",
      detail: found.length === 0 ? "no record" : `${missing.join(", ")} is missing`,
      fix: `Add the ${type} record of ${host}: ${missing.join(", ")}`,
    };
  return wanted.length === 0
    ? { name, verdict: "skipped", detail: "the app has no such address" }
    : { name, verdict: "good", detail: wanted.join(", ") };
}

/** `isThrough`: its own server answers, through a PoP that nobody sees. */
type Visited = Address & { host: string; isThrough: boolean; visit?: Visit; error?: unknown };

async function visitOf(
  site: Pick<Visited, "host" | "isThrough">,
  address: Address,
  outside: Outside,
): Promise<Visited> {
  try {
    return { ...address, ...site, visit: await outside.visit(site.host, address.ip) };
  } catch (error) {
    return { ...address, ...site, error };
  }
}

/** There is no IPv6 here, which says nothing of the site. */
const noRoute = ["ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT"];

function visitFinding({ host, isThrough, ip, type, visit, error }: Visited, now: number): Finding {
  const name = `${host} at ${ip}`;
  if (visit === undefined) {
    if (type === "v6" && noRoute.includes((error as NodeJS.ErrnoException).code ?? ""))
      return { name, verdict: "skipped", detail: "this machine has no IPv6" };
    return {
      name,
      verdict: "bad",
      detail: `no answer over HTTPS, ${reasonOf(error)}`,
      fix: "Do PoPs serve? npx fly-pops status",
    };
  }
  const { status, pop, certificate } = visit;
  const left = leftText(certificate.ends - now);
  const answer = `${status} from ${isThrough ? "its own server" : (pop ?? "somebody who is no PoP")}`;
  const renewal = isThrough
    ? "Its own server shows that certificate: renew it there."
    : 'See docs/runbook.md, "A certificate ends soon"';
  if (certificate.problem !== undefined)
    return {
      name,
      verdict: "bad",
      detail: `${answer}, with a certificate that browsers refuse: ${certificate.problem}`,
      fix: renewal,
    };
  if (endsSoon(certificate, now))
    return {
      name,
      verdict: "bad",
      detail: `${answer}, its certificate ends in ${left}`,
      fix: renewal,
    };
  if (status >= 500) {
    const logs = isThrough
      ? "What went wrong is known to its own server."
      : `What went wrong: npx fly-pops logs ${pop ?? ""}`;
    return { name, verdict: "bad", detail: answer, fix: logs.trimEnd() };
  }
  if (pop === undefined && !isThrough)
    return { name, verdict: "bad", detail: answer, fix: "Does another program serve at this address?" };
  return { name, verdict: "good", detail: `${answer}, certificate for ${left}` };
}

/** Fly's proxy hands streams on unread, so that no header can choose the PoP: the nearest ones answer. */
function popsFinding(pops: EdgeConfig["pops"], visits: readonly Visited[]): Finding {
  const answered = new Set(visits.flatMap(({ visit }) => visit?.pop ?? []));
  const silent = pops.map(({ name }) => name).filter((name) => !answered.has(name));
  return {
    name: "PoPs",
    verdict: silent.length === 0 ? "good" : "skipped",
    detail:
      silent.length === 0
        ? "each of them answered"
        : `not to be met from here: ${silent.join(", ")}. Fly leads visitors to the nearest one; how the others are: npx fly-pops status`,
  };
}

const reasonOf = (error: unknown): string =>
  error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error);
