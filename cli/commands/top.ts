/** `top`: what each PoP and each site serves now: requests, errors, cache hits, times. Two looks at the PoPs' own counters, and the rates between them. */
import { table } from "../../local/table.ts";
import { sleep } from "../../providers/clock.ts";
import {
  type ByTarget,
  bytesText,
  connectionsIn,
  grownConnections,
  summedConnections,
  targetText,
} from "../connections.ts";
import { type Fleet, type PopSeen, readFleet } from "../fleet.ts";
import { askPop } from "../health.ts";
import {
  type Counters,
  grown,
  parseMetrics,
  type Rates,
  type Reading,
  ratesOf,
  samplesOf,
  summed,
} from "../metrics.ts";
import type { Stack } from "../stack.ts";
import { clockText } from "../status-of.ts";
import { tint } from "../style.ts";
import { watch } from "../watch.ts";
import { type ExitCode, print, printJson, type World } from "../world.ts";

export interface TopOptions {
  json?: boolean;
  /** Until Ctrl-C, through errors. */
  watch?: boolean;
  /** So many times, then it ends. */
  limit?: number;
  /** Seconds between two looks, which the rates are over. */
  interval: number;
}

export interface Top {
  stack: string;
  app: string;
  /** Time of the later look, ISO 8601. */
  at: string;
  total: Rates;
  /** `sites`: of this PoP. A PoP that could not be asked has no rates, and a reason. */
  pops: ({ pop: string; region: string } & ((Rates & { sites: SiteRates[] }) | { reason: string }))[];
  /** Of all PoPs that could be asked, the busiest first. */
  sites: SiteRates[];
  /** Ports of raw TCP, then sites whose TLS ends at home; of all PoPs that could be asked. Connections count when they end. Empty: the stack has none. */
  connections: ConnectionRates[];
}

type SiteRates = { site: string } & Rates;

interface ConnectionRates {
  /** A port, as in `22`, or a host. */
  to: string;
  servedPerSecond: number;
  /** By a limit, a block or `access`. */
  refusedPerSecond: number;
  /** Nobody answered at home. */
  failedPerSecond: number;
  sentBytesPerSecond: number;
  receivedBytesPerSecond: number;
}

export async function top(world: World, stack: Stack, options: TopOptions): Promise<ExitCode> {
  const {
    json = false,
    watch: isWatching = false,
    interval,
    limit = isWatching ? Number.POSITIVE_INFINITY : 1,
  } = options;
  const intervalMs = interval * 1000;
  let before: Look | undefined;
  const next = async (): Promise<Top> => {
    if (!before) {
      before = await look(world, stack);
      await sleep(world.clock, intervalMs, world.interrupted);
    }
    const now = await look(world, stack);
    const seen = between(stack.name, before, now);
    before = now;
    return seen;
  };
  const text = (seen: Top) => (json ? JSON.stringify(seen) : topText(world, seen));
  if (limit === Number.POSITIVE_INFINITY)
    return watch(world, { title: `${stack.name}, ${stack.wanted().app}`, plain: json, intervalMs }, async () =>
      text(await next()),
    );
  for (let shown = 1; ; shown++) {
    const seen = await next();
    if (json) printJson(world, seen);
    else {
      if (limit > 1) print(world, tint(world, "faint", `${stack.name}, app ${seen.app}, ${clockText(seen.at)}`));
      print(world, `${text(seen)}${limit > 1 ? "\n" : ""}`);
    }
    if (shown >= limit) return seen.pops.some((it) => "reason" in it) ? 3 : 0;
    await sleep(world.clock, intervalMs, world.interrupted);
  }
}

/** What every PoP had counted at one time. */
interface Look {
  app: string;
  at: number;
  pops: { name: string; region: string; at: number; reading?: Counted; reason?: string }[];
}

interface Counted {
  sites: Reading;
  connections: ByTarget;
}

function parseCounted(text: string): Counted | undefined {
  const sites = parseMetrics(text);
  return sites && { sites, connections: connectionsIn(samplesOf(text)) };
}

async function look(world: World, stack: Stack): Promise<Look> {
  const fleet = await readFleet(stack);
  // All of them at once: what Fly limits, it limits by machine.
  const pops = await Promise.all(
    fleet.pops.map(async (pop) => {
      const { value, reason } = await readCounters(fleet, pop);
      return {
        name: pop.name,
        region: pop.region,
        at: world.clock.now(),
        ...(value === undefined ? { reason } : { reading: value }),
      };
    }),
  );
  return { app: fleet.app, at: world.clock.now(), pops };
}

async function readCounters(fleet: Fleet, pop: PopSeen): Promise<{ value?: Counted; reason: string }> {
  const { machine } = pop;
  if (!machine) return { reason: "Fly has no machine for it" };
  if (machine.host_status === "unreachable") return { reason: "its host does not answer" };
  if (machine.state !== "started") return { reason: `machine ${machine.id} is ${machine.state}` };
  const { value, reason = "" } = await askPop(fleet, { ...pop, machine }, "metrics", parseCounted);
  return value === undefined ? { reason } : { value, reason };
}

/** The rates between two looks. Pure. */
export function between(stack: string, before: Look, now: Look): Top {
  const counted: ({ seconds: number } & Counted)[] = [];
  const pops = now.pops.map(({ name, region, at, reading, reason }): Top["pops"][number] => {
    const earlier = before.pops.find((it) => it.name === name);
    if (!reading) return { pop: name, region, reason: reason ?? "" };
    if (!earlier?.reading) return { pop: name, region, reason: earlier?.reason ?? "it was not there a moment ago" };
    const seconds = (at - earlier.at) / 1000;
    const sites = grown(earlier.reading.sites, reading.sites);
    counted.push({ seconds, sites, connections: grownConnections(earlier.reading.connections, reading.connections) });
    return { pop: name, region, ...ratesOf(summed(sites.values()), seconds), sites: siteRates(sites, seconds) };
  });
  const bySite = new Map<string, Counters[]>();
  for (const { sites } of counted)
    for (const [site, counters] of sites) bySite.set(site, [...(bySite.get(site) ?? []), counters]);
  const sums = new Map([...bySite].map(([site, all]) => [site, summed(all)]));
  // PoPs are asked side by side: between two looks passed as good as the same time in all of them.
  const seconds = counted.reduce((sum, it) => sum + it.seconds, 0) / Math.max(counted.length, 1);
  return {
    stack,
    app: now.app,
    at: new Date(now.at).toISOString(),
    total: ratesOf(summed(sums.values()), seconds),
    pops,
    sites: siteRates(sums, seconds),
    connections: connectionRates(summedConnections(counted.map(({ connections }) => connections)), seconds),
  };
}

function connectionRates(all: ByTarget, seconds: number): ConnectionRates[] {
  const perSecond = (count: number) => (seconds > 0 ? count / seconds : 0);
  return [...all].map(([to, it]) => ({
    to,
    servedPerSecond: perSecond(it.served),
    refusedPerSecond: perSecond(it.refused),
    failedPerSecond: perSecond(it.failed),
    sentBytesPerSecond: perSecond(it.sentBytes),
    receivedBytesPerSecond: perSecond(it.receivedBytes),
  }));
}

/** The busiest first. Names of nobody are told of when somebody asked for one. */
const siteRates = (sites: Reading, seconds: number): SiteRates[] =>
  [...sites]
    .filter(([site, { requests }]) => site !== "other" || requests > 0)
    .map(([site, counters]) => ({ site, ...ratesOf(counters, seconds) }))
    .toSorted((a, b) => b.requestsPerSecond - a.requestsPerSecond || (a.site < b.site ? -1 : 1));

const measures = ["requests/s", "rejected/s", "5xx/s", "5xx", "hits", "p95"];

const connectionMeasures = ["served/s", "refused/s", "failed/s", "sent", "received"];

export function topText(world: World, { pops, sites, connections, total }: Top): string {
  const heads = (...cells: string[]) => cells.map((cell) => tint(world, "head", cell));
  const head = (first: string) => heads(first, ...measures);
  const asked = pops.flatMap((it) => ("reason" in it ? [] : [it]));
  const unasked = pops.flatMap((it) => ("reason" in it ? [`${it.pop}: could not be asked, ${it.reason}`] : []));
  return [
    table([
      head("PoP"),
      ...asked.map((it) => [it.pop, ...cells(world, it)]),
      ...(asked.length > 1 ? [["all", ...cells(world, total)]] : []),
    ]),
    ...(sites.length > 0 ? ["", table([head("site"), ...sites.map((it) => [it.site, ...cells(world, it)])])] : []),
    ...(connections.length > 0
      ? [
          "",
          table([
            heads("connections to", ...connectionMeasures),
            ...connections.map((it) => connectionCells(world, it)),
          ]),
        ]
      : []),
    ...(unasked.length > 0 ? ["", ...unasked.map((it) => tint(world, "warning", it))] : []),
  ].join("\n");
}

function cells(world: World, rates: Rates): string[] {
  const { requestsPerSecond, rejectedPerSecond, errorsPerSecond, errorRate, hitRate, p95Seconds } = rates;
  const bad = errorsPerSecond > 0 ? "bad" : undefined;
  return [
    rateText(requestsPerSecond),
    tint(world, rejectedPerSecond > 0 ? "warning" : undefined, rateText(rejectedPerSecond)),
    tint(world, bad, rateText(errorsPerSecond)),
    tint(world, bad, percentText(errorRate)),
    percentText(hitRate),
    secondsText(p95Seconds),
  ];
}

const connectionCells = (world: World, it: ConnectionRates): string[] => [
  targetText(it.to),
  rateText(it.servedPerSecond),
  tint(world, it.refusedPerSecond > 0 ? "warning" : undefined, rateText(it.refusedPerSecond)),
  tint(world, it.failedPerSecond > 0 ? "bad" : undefined, rateText(it.failedPerSecond)),
  `${bytesText(it.sentBytesPerSecond)}/s`,
  `${bytesText(it.receivedBytesPerSecond)}/s`,
];

const rateText = (value: number): string => (value >= 100 ? String(Math.round(value)) : value.toFixed(1));

/** One that is not 0 does not read as 0. */
function percentText(share: number | null): string {
  if (share === null) return "-";
  const percent = share * 100;
  return percent > 0 && percent < 1 ? `${percent.toFixed(1)} %` : `${Math.round(percent)} %`;
}

function secondsText(seconds: number | null): string {
  if (seconds === null) return "-";
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
}
