/** What the status page shows, made of what local Fly knows. Pure: the world, the edge's connections and the PoPs' own words in, one object out. */
import { regionByCode } from "../../providers/fly/regions.ts";
import type { MachineCount } from "../edge/counters.ts";
import { currentVersion, type EventRow, type MachineRow, type World } from "../fly/world.ts";
import { type Point, project } from "./map.ts";
import type { PopTraffic } from "./traffic.ts";

export interface Picture {
  /** Milliseconds since the epoch. */
  at: number;
  /** Where the visitors are; null for a region that is no more. */
  visitors: Place | null;
  pops: PopPicture[];
  totals: {
    serving: number;
    /** Null while no PoP tells. */
    requestsPerSecond: number | null;
    /** 0 to 1, of the last seconds; null when nothing was asked of the cache. */
    hitRate: number | null;
    /** Connections open at the edge. */
    connections: number;
  };
  /** How many PoPs run, and serve, the newest image. */
  rollout: { image: string; done: number; of: number };
  /** Newest first. */
  events: { at: number; text: string }[];
}

export interface Place extends Point {
  region: string;
  city: string;
}

export interface PopPicture {
  name: string;
  /** Null for a region without a place on the map. */
  place: Place | null;
  region: string;
  phase: Phase;
  version: string;
  /** First characters of the image's digest, or its tag. */
  image: string;
  /** Passing, of all. */
  checks: { passing: number; all: number };
  /** Open at the edge. */
  connections: number;
  requestsPerSecond: number | null;
  hitRate: number | null;
  memory: { usedBytes: number; limitBytes: number } | null;
  /** Why it is degraded, in its own words; empty when it is not. */
  reasons: string[];
}

/** `drained`: out of routing, on its feet. `checking`: up, its checks do not pass yet. */
export type Phase =
  | "serving"
  | "drained"
  | "updating"
  | "checking"
  | "failing"
  | "starting"
  | "restarting"
  | "stopping"
  | "stopped"
  | "failed"
  | "leaving";

/** Seconds a machine may take after boot before checks that do not pass mean trouble. */
const settlingSeconds = 60;
const eventsShown = 10;

export interface Surroundings {
  now: number;
  clientRegion: string;
  counts: MachineCount[];
  /** By machine id. */
  traffic: ReadonlyMap<string, PopTraffic>;
}

export function picture(world: World, { now, clientRegion, counts, traffic }: Surroundings): Picture {
  const machines = Object.values(world.machines)
    .filter((it) => it.state !== "destroyed")
    .toSorted((a, b) => a.name.localeCompare(b.name));
  const open = new Map(counts.map((it) => [it.machineId, it.open]));
  const pops = machines.map((machine) => popOf(machine, now, open.get(machine.id) ?? 0, traffic.get(machine.id)));
  const told = machines.flatMap((machine) => traffic.get(machine.id) ?? []);
  const asked = told.reduce((sum, it) => sum + it.cacheable, 0);
  return {
    at: now,
    visitors: placeOf(clientRegion),
    pops,
    totals: {
      serving: pops.filter(({ phase }) => phase === "serving").length,
      requestsPerSecond: told.length === 0 ? null : told.reduce((sum, it) => sum + it.requestsPerSecond, 0),
      hitRate: asked === 0 ? null : told.reduce((sum, it) => sum + it.hits, 0) / asked,
      connections: counts.reduce((sum, it) => sum + it.open, 0),
    },
    rollout: rolloutOf(machines, pops),
    events: machines
      .flatMap((machine) =>
        machine.events.map((event) => ({ at: event.timestamp, text: `${machine.name}: ${said(event)}` })),
      )
      .toSorted((a, b) => b.at - a.at)
      .slice(0, eventsShown),
  };
}

function popOf(machine: MachineRow, now: number, connections: number, traffic: PopTraffic | undefined): PopPicture {
  return {
    name: machine.name,
    place: placeOf(machine.region),
    region: machine.region,
    phase: phaseOf(machine, now),
    version: machine.version,
    image: shortened(imageOf(machine)),
    checks: { passing: machine.checks.filter((it) => it.status === "passing").length, all: machine.checks.length },
    connections,
    requestsPerSecond: traffic?.requestsPerSecond ?? null,
    hitRate: traffic && traffic.cacheable > 0 ? traffic.hits / traffic.cacheable : null,
    memory: traffic?.memory ?? null,
    reasons: traffic?.reasons ?? [],
  };
}

/** What it is doing, and only then how it fares: a machine in the middle of its update fails its checks by right. */
export function phaseOf(machine: MachineRow, now: number): Phase {
  switch (machine.operation?.kind) {
    case "replace":
      return "updating";
    case "launch":
    case "start":
      return "starting";
    case "restart":
    case "retry":
      return "restarting";
    case "stop":
    case "suspend":
      return "stopping";
    case "destroy":
      return "leaving";
    case undefined:
      break;
    default:
      return machine.operation satisfies never;
  }
  if (machine.runs === null) return machine.state === "failed" ? "failed" : "stopped";
  if (machine.checks.some((it) => it.routing && it.status !== "passing"))
    return now - (machine.bootedAt ?? 0) < settlingSeconds * 1000 ? "checking" : "failing";
  return machine.cordoned ? "drained" : "serving";
}

function rolloutOf(machines: MachineRow[], pops: PopPicture[]): Picture["rollout"] {
  const newest = machines.toSorted((a, b) => currentVersion(b).createdAt - currentVersion(a).createdAt)[0];
  if (!newest) return { image: "", done: 0, of: 0 };
  const done = machines.filter((machine, at) => imageOf(machine) === imageOf(newest) && pops[at]?.phase === "serving");
  return { image: shortened(imageOf(newest)), done: done.length, of: machines.length };
}

/** Its digest, or its tag. */
function imageOf(machine: MachineRow): string {
  const { digest, tag } = currentVersion(machine).imageRef;
  return digest?.replace("sha256:", "") ?? tag ?? "";
}

const shortened = (digest: string): string => digest.slice(0, 12);

function placeOf(code: string): Place | null {
  const region = regionByCode(code);
  return region ? { region: code, city: region.city, ...project(region.longitude, region.latitude) } : null;
}

interface ExitEvent {
  exit_code?: number;
  oom_killed?: boolean;
}

/** What people say for the types of events, where it is not the type itself. */
const words: Record<string, string> = {
  launch: "made",
  update: "is given a new version",
  start: "started",
  cordon: "taken out of routing",
  uncordon: "back in routing",
};

/** An event of the Machines API in a few words. */
function said({ type, status, request }: EventRow): string {
  const exit = request?.exit_event as ExitEvent | undefined;
  if (exit?.oom_killed) return "ran out of memory";
  if (exit) return `ended, exit code ${exit.exit_code ?? 0}`;
  return words[type] ?? (type === status ? type : `${type}, ${status}`);
}
