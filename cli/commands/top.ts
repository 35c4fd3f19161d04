/** `top`: current traffic by PoP and site: requests, errors, cache hits, durations. Reads the PoPs' counters twice and shows the rates in between. */

import { sleep } from "../../lib/clock.ts";
import { table } from "../../lib/table.ts";
import {
  type ByTarget,
  bytesText,
  connectionIncrease,
  connectionsIn,
  sumConnections,
  targetText,
} from "../connections.ts";
import { type CliContext, type ExitCode, print, printJson } from "../context.ts";
import { type Fleet, type PopObservation, readFleet } from "../fleet.ts";
import { probePop } from "../health.ts";
import {
  type Counters,
  type CountersBySite,
  counterIncrease,
  parseMetrics,
  type Rates,
  ratesOf,
  samplesOf,
  sumCounters,
} from "../metrics.ts";
import { clockText } from "../pop-status.ts";
import type { Stack } from "../stack.ts";
import { styled } from "../style.ts";
import { watch } from "../watch.ts";

export interface TopOptions {
  json?: boolean;
  /** Refresh until Ctrl-C. */
  watch?: boolean;
  /** Number of refreshes. */
  limit?: number;
  /** Seconds between refreshes, over which rates are measured. */
  interval: number;
}

export interface Top {
  stack: string;
  app: string;
  /** Time of the later measurement, ISO 8601. */
  at: string;
  total: Rates;
  /** `sites`: of this PoP. A PoP that could not be queried has a reason instead of rates. */
  pops: ({ pop: string; region: string } & ((Rates & { sites: SiteRates[] }) | { reason: string }))[];
  /** Of all PoPs that could be queried, busiest first. */
  sites: SiteRates[];
  /** TCP ports, then sites with passThrough, of all PoPs that could be queried. Connections are counted when they end. Empty: the stack has none. */
  connections: ConnectionRates[];
}

type SiteRates = { site: string } & Rates;

interface ConnectionRates {
  /** A port, as in `22`, or a host. */
  to: string;
  servedPerSecond: number;
  /** Refused by a limit, a block or `access`. */
  refusedPerSecond: number;
  /** The target did not respond. */
  failedPerSecond: number;
  sentBytesPerSecond: number;
  receivedBytesPerSecond: number;
}

export async function top(context: CliContext, stack: Stack, options: TopOptions): Promise<ExitCode> {
  const {
    json = false,
    watch: isWatching = false,
    interval,
    limit = isWatching ? Number.POSITIVE_INFINITY : 1,
  } = options;
  const intervalMs = interval * 1000;
  let before: CounterSnapshot | undefined;
  const next = async (): Promise<Top> => {
    if (!before) {
      before = await fetchCounters(context, stack);
      await sleep(context.clock, intervalMs, context.interrupted);
    }
    const now = await fetchCounters(context, stack);
    const seen = ratesBetween(stack.name, before, now);
    before = now;
    return seen;
  };
  const text = (seen: Top) => (json ? JSON.stringify(seen) : topText(context, seen));
  if (limit === Number.POSITIVE_INFINITY)
    return watch(context, { title: `${stack.name}, ${stack.lenientConfig().app}`, plain: json, intervalMs }, async () =>
      text(await next()),
    );
  for (let shown = 1; ; shown++) {
    const seen = await next();
    if (json) printJson(context, seen);
    else {
      if (limit > 1) print(context, styled(context, "faint", `${stack.name}, app ${seen.app}, ${clockText(seen.at)}`));
      print(context, `${text(seen)}${limit > 1 ? "\n" : ""}`);
    }
    if (shown >= limit) return seen.pops.some((it) => "reason" in it) ? 3 : 0;
    await sleep(context.clock, intervalMs, context.interrupted);
  }
}

/** The counters of every PoP at one time. */
interface CounterSnapshot {
  app: string;
  at: number;
  pops: { name: string; region: string; at: number; reading?: PopCounters; reason?: string }[];
}

interface PopCounters {
  sites: CountersBySite;
  connections: ByTarget;
}

function parseCounted(text: string): PopCounters | undefined {
  const sites = parseMetrics(text);
  return sites && { sites, connections: connectionsIn(samplesOf(text)) };
}

async function fetchCounters(context: CliContext, stack: Stack): Promise<CounterSnapshot> {
  const fleet = await readFleet(stack);
  // Concurrently, because Fly's rate limits apply per machine.
  const pops = await Promise.all(
    fleet.pops.map(async (pop) => {
      const { value, reason } = await readCounters(fleet, pop);
      return {
        name: pop.name,
        region: pop.region,
        at: context.clock.now(),
        ...(value === undefined ? { reason } : { reading: value }),
      };
    }),
  );
  return { app: fleet.app, at: context.clock.now(), pops };
}

async function readCounters(fleet: Fleet, pop: PopObservation): Promise<{ value?: PopCounters; reason: string }> {
  const { machine } = pop;
  if (!machine) return { reason: "Fly has no machine for it" };
  if (machine.host_status === "unreachable") return { reason: "its host does not respond" };
  if (machine.state !== "started") return { reason: `machine ${machine.id} is ${machine.state}` };
  const { value, reason = "" } = await probePop(fleet, { ...pop, machine }, "metrics", parseCounted);
  return value === undefined ? { reason } : { value, reason };
}

/** The rates between two snapshots. Pure. */
function ratesBetween(stack: string, before: CounterSnapshot, now: CounterSnapshot): Top {
  const counted: ({ seconds: number } & PopCounters)[] = [];
  const pops = now.pops.map(({ name, region, at, reading, reason }): Top["pops"][number] => {
    const earlier = before.pops.find((it) => it.name === name);
    if (!reading) return { pop: name, region, reason: reason ?? "" };
    if (!earlier?.reading)
      return { pop: name, region, reason: earlier?.reason ?? "it did not exist at the previous measurement" };
    const seconds = (at - earlier.at) / 1000;
    const sites = counterIncrease(earlier.reading.sites, reading.sites);
    counted.push({ seconds, sites, connections: connectionIncrease(earlier.reading.connections, reading.connections) });
    return { pop: name, region, ...ratesOf(sumCounters(sites.values()), seconds), sites: siteRates(sites, seconds) };
  });
  const bySite = new Map<string, Counters[]>();
  for (const { sites } of counted)
    for (const [site, counters] of sites) bySite.set(site, [...(bySite.get(site) ?? []), counters]);
  const sums = new Map([...bySite].map(([site, all]) => [site, sumCounters(all)]));
  // PoPs are queried concurrently, so nearly the same time passed in all of them.
  const seconds = counted.reduce((sum, it) => sum + it.seconds, 0) / Math.max(counted.length, 1);
  return {
    stack,
    app: now.app,
    at: new Date(now.at).toISOString(),
    total: ratesOf(sumCounters(sums.values()), seconds),
    pops,
    sites: siteRates(sums, seconds),
    connections: connectionRates(sumConnections(counted.map(({ connections }) => connections)), seconds),
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

/** Busiest first. Unknown hosts are shown only if there were requests for them. */
const siteRates = (sites: CountersBySite, seconds: number): SiteRates[] =>
  [...sites]
    .filter(([site, { requests }]) => site !== "other" || requests > 0)
    .map(([site, counters]) => ({ site, ...ratesOf(counters, seconds) }))
    .toSorted((a, b) => b.requestsPerSecond - a.requestsPerSecond || (a.site < b.site ? -1 : 1));

const measures = ["requests/s", "rejected/s", "5xx/s", "5xx", "hits", "p95"];

const connectionMeasures = ["served/s", "refused/s", "failed/s", "sent", "received"];

function topText(context: CliContext, { pops, sites, connections, total }: Top): string {
  const heads = (...cells: string[]) => cells.map((cell) => styled(context, "head", cell));
  const head = (first: string) => heads(first, ...measures);
  const asked = pops.flatMap((it) => ("reason" in it ? [] : [it]));
  const unasked = pops.flatMap((it) => ("reason" in it ? [`${it.pop}: could not be queried, ${it.reason}`] : []));
  return [
    table([
      head("PoP"),
      ...asked.map((it) => [it.pop, ...cells(context, it)]),
      ...(asked.length > 1 ? [["all", ...cells(context, total)]] : []),
    ]),
    ...(sites.length > 0 ? ["", table([head("site"), ...sites.map((it) => [it.site, ...cells(context, it)])])] : []),
    ...(connections.length > 0
      ? [
          "",
          table([
            heads("connections to", ...connectionMeasures),
            ...connections.map((it) => connectionCells(context, it)),
          ]),
        ]
      : []),
    ...(unasked.length > 0 ? ["", ...unasked.map((it) => styled(context, "warning", it))] : []),
  ].join("\n");
}

function cells(context: CliContext, rates: Rates): string[] {
  const { requestsPerSecond, rejectedPerSecond, errorsPerSecond, errorRate, hitRate, p95Seconds } = rates;
  const bad = errorsPerSecond > 0 ? "bad" : undefined;
  return [
    rateText(requestsPerSecond),
    styled(context, rejectedPerSecond > 0 ? "warning" : undefined, rateText(rejectedPerSecond)),
    styled(context, bad, rateText(errorsPerSecond)),
    styled(context, bad, percentText(errorRate)),
    percentText(hitRate),
    secondsText(p95Seconds),
  ];
}

const connectionCells = (context: CliContext, it: ConnectionRates): string[] => [
  targetText(it.to),
  rateText(it.servedPerSecond),
  styled(context, it.refusedPerSecond > 0 ? "warning" : undefined, rateText(it.refusedPerSecond)),
  styled(context, it.failedPerSecond > 0 ? "bad" : undefined, rateText(it.failedPerSecond)),
  `${bytesText(it.sentBytesPerSecond)}/s`,
  `${bytesText(it.receivedBytesPerSecond)}/s`,
];

const rateText = (value: number): string => (value >= 100 ? String(Math.round(value)) : value.toFixed(1));

/** Percentages below 1 have a decimal, so that they do not read as 0. */
function percentText(share: number | null): string {
  if (share === null) return "-";
  const percent = share * 100;
  return percent > 0 && percent < 1 ? `${percent.toFixed(1)} %` : `${Math.round(percent)} %`;
}

function secondsText(seconds: number | null): string {
  if (seconds === null) return "-";
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
}
