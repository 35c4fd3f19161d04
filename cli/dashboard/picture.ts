/** The view model of the status page, built from what `status` and `top` read. Pure: machines, health and counters in, one object out. */

import { checksOf } from "../../fly/machine-health.ts";
import type { Machine } from "../../fly/wire.ts";
import {
  eventsShown,
  eventText,
  type Head,
  type Phase,
  type Picture,
  type PopPicture,
  placeOf,
  type SitePicture,
  settlingSeconds,
  shortImage,
} from "../../status-page/picture.ts";
import type { PopObservation } from "../fleet.ts";
import { type CountersBySite, counterIncrease, type Rates, ratesOf, sumCounters } from "../metrics.ts";
import type { PopStatus } from "../pop-status.ts";

/** A PoP as it was at one time. */
export interface Sample {
  pop: PopObservation;
  status: PopStatus;
  /** When it was asked, milliseconds since the epoch. */
  at: number;
  /** Absent: it could not be asked. */
  reading?: CountersBySite;
  connections?: number;
}

/** `before`: the samples that rates are calculated from. */
export function pictureOf(head: Head, now: number, before: readonly Sample[], latest: readonly Sample[]): Picture {
  const counted = new Map(latest.flatMap((it) => countedOf(before, it)));
  const seconds = Math.max(0, ...[...counted.values()].map((it) => it.seconds));
  const all = ratesOf(sumCounters([...counted.values()].flatMap(({ sites }) => [...sites.values()])), seconds);
  const pops = latest.map((sample) => popPicture(sample, now, counted.get(sample.pop.name)));
  const connections = latest.flatMap((it) => it.connections ?? []);
  return {
    at: now,
    head,
    visitors: null,
    pops,
    sites: sitePictures(latest, [...counted.values()], seconds),
    totals: {
      serving: pops.filter(({ phase }) => phase === "serving").length,
      requestsPerSecond: counted.size === 0 ? null : all.requestsPerSecond,
      errorsPerSecond: counted.size === 0 ? null : all.errorsPerSecond,
      hitRate: all.hitRate,
      connections: connections.length === 0 ? null : connections.reduce((sum, it) => sum + it, 0),
    },
    rollout: rolloutOf(latest, pops),
    events: latest
      .flatMap(({ pop: { name, machine } }) =>
        (machine?.events ?? []).map((event) => ({ at: event.timestamp ?? 0, text: `${name}: ${eventText(event)}` })),
      )
      .toSorted((a, b) => b.at - a.at)
      .slice(0, eventsShown),
  };
}

interface Counted {
  sites: CountersBySite;
  seconds: number;
}

function countedOf(before: readonly Sample[], { pop, at, reading }: Sample): [string, Counted][] {
  const earlier = before.find((it) => it.pop.name === pop.name);
  if (!reading || !earlier?.reading || at <= earlier.at) return [];
  return [[pop.name, { sites: counterIncrease(earlier.reading, reading), seconds: (at - earlier.at) / 1000 }]];
}

function popPicture({ pop, status, connections }: Sample, now: number, counted: Counted | undefined): PopPicture {
  const rates: Rates | undefined = counted && ratesOf(sumCounters(counted.sites.values()), counted.seconds);
  return {
    name: pop.name,
    place: placeOf(pop.region),
    region: pop.region,
    phase: phaseOf(pop.machine, now),
    version: status.version ?? "",
    image: shortImage(imageOf(pop.machine)),
    checks: status.checks,
    connections: connections ?? null,
    requestsPerSecond: rates?.requestsPerSecond ?? null,
    hitRate: rates?.hitRate ?? null,
    memory: status.memory,
    reasons: status.problems,
  };
}

/** Transitions first, then health. */
export function phaseOf(machine: Machine | undefined, now: number): Phase {
  if (!machine) return "missing";
  if (machine.host_status === "unreachable") return "unreachable";
  switch (machine.state) {
    case "started":
      break;
    case "created":
    case "starting":
      return "starting";
    case "replacing":
    case "replaced":
    case "updating":
      return "updating";
    case "restarting":
      return "restarting";
    case "stopping":
    case "suspending":
      return "stopping";
    case "destroying":
    case "destroyed":
      return "leaving";
    case "failed":
      return "failed";
    default:
      return "stopped";
  }
  if (checksOf(machine).some(({ status }) => status !== "passing"))
    return now - bootedAt(machine) < settlingSeconds * 1000 ? "checking" : "failing";
  return machine.cordoned ? "drained" : "serving";
}

const bootedAt = ({ events }: Machine): number =>
  Math.max(0, ...(events ?? []).flatMap(({ type, timestamp }) => (type === "start" ? (timestamp ?? 0) : [])));

const imageOf = (machine: Machine | undefined): string => machine?.config?.image?.split("@").at(-1) ?? "";

/** The newest image is that of the newest version, because version ids are ordered by time. */
function rolloutOf(samples: readonly Sample[], pops: readonly PopPicture[]): Picture["rollout"] {
  const machines = samples.map(({ pop }) => pop.machine);
  const versions = machines.flatMap((it) => it ?? []);
  const newest = versions.toSorted((a, b) => ((a.instance_id ?? "") < (b.instance_id ?? "") ? 1 : -1))[0];
  if (!newest) return { image: "", done: 0, of: 0 };
  const isUpdating =
    versions.some((it) => imageOf(it) !== imageOf(newest)) || pops.some(({ phase }) => phase === "updating");
  // A stopped PoP is not an update in progress.
  if (!isUpdating) return { image: shortImage(imageOf(newest)), done: versions.length, of: versions.length };
  const done = machines.filter((it, at) => imageOf(it) === imageOf(newest) && pops[at]?.phase === "serving");
  return { image: shortImage(imageOf(newest)), done: done.length, of: machines.length };
}

function sitePictures(latest: readonly Sample[], counted: readonly Counted[], seconds: number): SitePicture[] {
  const certificates = latest.flatMap(({ status }) => status.certificates);
  const names = new Set([
    ...counted.flatMap(({ sites }) => [...sites.keys()]),
    ...certificates.map(({ host }) => host),
  ]);
  return [...names]
    .map((site) => {
      const sum = sumCounters(counted.flatMap(({ sites }) => sites.get(site) ?? []));
      const { requestsPerSecond, errorsPerSecond, hitRate, p95Seconds } = ratesOf(sum, seconds);
      const [first] = certificates
        .flatMap(({ host, begins, expires, selfSigned }) =>
          host === site && expires !== null
            ? [{ begins: begins === null ? null : Date.parse(begins), ends: Date.parse(expires), selfSigned }]
            : [],
        )
        .toSorted((a, b) => a.ends - b.ends);
      return { site, requestsPerSecond, errorsPerSecond, hitRate, p95Seconds, certificate: first ?? null };
    })
    .filter(({ site, requestsPerSecond }) => site !== "other" || requestsPerSecond > 0)
    .toSorted((a, b) => b.requestsPerSecond - a.requestsPerSecond || (a.site < b.site ? -1 : 1));
}
