/** `check --live`: the sites as visitors meet them, against what the app has. What asks is handed in. */
import type { EdgeConfig } from "../../config/types.ts";
import { isGone } from "../../providers/fly/errors.ts";
import type { Finding } from "../commands/doctor.ts";
import type { Stack } from "../stack.ts";
import { Refusal } from "../world.ts";
import type { Outside, Visit } from "./outside.ts";

interface Address {
  ip: string;
  family: 4 | 6;
}

const days = 86_400_000;
/** A certificate is renewed long before. */
const soonDays = 7;
const record = { 4: "A", 6: "AAAA" } as const;

export async function checkLive(
  stack: Pick<Stack, "config" | "fly">,
  outside: Outside,
  now: () => number = Date.now,
): Promise<Finding[]> {
  const { app, pops, image } = stack.config();
  const addresses = await publicAddresses(await stack.fly(), app);
  if (addresses.length === 0)
    throw new Refusal(`app ${app} has no public address, so no visitor reaches it. Deploy it: npx pulumi up`);
  const hosts = image.sites.map(({ host }) => host);
  // All side by side: a name that nobody answers for keeps nobody else waiting.
  const [names, visits] = await Promise.all([
    Promise.all(hosts.map((host) => namesCheck(host, addresses, outside))),
    Promise.all(hosts.flatMap((host) => addresses.map((address) => visitOf(host, address, outside)))),
  ]);
  return [...names.flat(), ...visits.map((it) => visitFinding(it, now())), popsFinding(pops, visits)];
}

async function publicAddresses(fly: Awaited<ReturnType<Stack["fly"]>>, app: string): Promise<Address[]> {
  const all = await fly.listAddresses(app).catch((error: unknown) => {
    if (isGone(error)) throw new Refusal(`There is no app ${app} yet. Deploy it: npx pulumi up`, { cause: error });
    throw error;
  });
  return all.flatMap(({ ip, egress, type }) => {
    // Private ones are reached within the organization alone.
    if (!ip || egress || type?.startsWith("private") || /^f[cd]/i.test(ip)) return [];
    return [{ ip, family: ip.includes(":") ? 6 : 4 } as const];
  });
}

/** Its A and AAAA records are the app's addresses, all of them and no others. */
async function namesCheck(host: string, addresses: readonly Address[], outside: Outside): Promise<Finding[]> {
  if (!outside.hasNames)
    return [{ name: `${host} DNS`, verdict: "skipped", detail: "names of the local stack are in no DNS" }];
  return Promise.all(
    ([4, 6] as const).map(async (family): Promise<Finding> => {
      const name = `${host} ${record[family]}`;
      const wanted = addresses.filter((it) => it.family === family).map(({ ip }) => ip);
      try {
        return namesFinding(name, host, wanted, (await outside.resolve(host, family)).map(plain));
      } catch (error) {
        const detail = `no answer from DNS, ${reasonOf(error)}`;
        return { name, verdict: "bad", detail, fix: `Ask for it by hand: dig ${record[family]} ${host}` };
      }
    }),
  );
}

function namesFinding(name: string, host: string, wanted: readonly string[], found: readonly string[]): Finding {
  const type = name.split(" ").at(-1);
  const foreign = found.filter((ip) => !wanted.some((it) => plain(it) === ip));
  const missing = wanted.filter((ip) => !found.includes(plain(ip)));
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

/** One spelling of an IPv6 address, as URLs have it. */
const plain = (ip: string): string => (ip.includes(":") ? new URL(`http://[${ip}]`).hostname.slice(1, -1) : ip);

type Visited = Address & { host: string; visit?: Visit; error?: unknown };

async function visitOf(host: string, address: Address, outside: Outside): Promise<Visited> {
  try {
    return { ...address, host, visit: await outside.visit(host, address.ip) };
  } catch (error) {
    return { ...address, host, error };
  }
}

/** There is no IPv6 here, which says nothing of the site. */
const noRoute = ["ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT"];

function visitFinding({ host, ip, family, visit, error }: Visited, now: number): Finding {
  const name = `${host} at ${ip}`;
  if (visit === undefined) {
    if (family === 6 && noRoute.includes((error as NodeJS.ErrnoException).code ?? ""))
      return { name, verdict: "skipped", detail: "this machine has no IPv6" };
    return {
      name,
      verdict: "bad",
      detail: `no answer over HTTPS, ${reasonOf(error)}`,
      fix: "Do PoPs serve? npx fly-pops status",
    };
  }
  const { status, pop, certificate } = visit;
  const left = Math.floor((certificate.ends - now) / days);
  const answer = `${status} from ${pop ?? "somebody who is no PoP"}`;
  if (certificate.problem !== undefined)
    return {
      name,
      verdict: "bad",
      detail: `${answer}, with a certificate that browsers refuse: ${certificate.problem}`,
      fix: 'See docs/runbook.md, "A certificate ends soon"',
    };
  if (left < soonDays)
    return {
      name,
      verdict: "bad",
      detail: `${answer}, its certificate ends in ${left} d`,
      fix: 'See docs/runbook.md, "A certificate ends soon"',
    };
  if (status >= 500)
    return { name, verdict: "bad", detail: answer, fix: `What went wrong: npx fly-pops logs ${pop ?? ""}`.trimEnd() };
  if (pop === undefined)
    return { name, verdict: "bad", detail: answer, fix: "Does another program serve at this address?" };
  return { name, verdict: "good", detail: `${answer}, certificate for ${left} d` };
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
