/** The status page of the local stack, made of what local Fly knows. Pure: its state, the edge's connections and the PoPs' own words in, one object out. */
import type { MachineEvent } from "../../fly/wire.ts";
import { naturalOrder } from "../../lib/order.ts";
import {
  eventsShown,
  eventText,
  type Head,
  type Phase,
  type Picture,
  type PopPicture,
  placeOf,
  settlingSeconds,
  shortImage,
} from "../../status-page/picture.ts";
import type { MachineCount } from "../edge/counters.ts";
import { currentVersion, type FlyState, type MachineRow } from "../fly/core/fly-state.ts";
import type { PopTraffic } from "./traffic.ts";

const head: Head = {
  title: "local stack",
  about: [],
  problem: null,
  none: "No PoP yet. Deploy some: npm run local",
  gone: "Local Fly does not answer. Start it: npm run local",
};

export interface Surroundings {
  now: number;
  clientRegion: string;
  counts: MachineCount[];
  /** By machine id. */
  traffic: ReadonlyMap<string, PopTraffic>;
}

export function picture(flyState: FlyState, { now, clientRegion, counts, traffic }: Surroundings): Picture {
  const machines = Object.values(flyState.machines)
    .filter((it) => it.state !== "destroyed")
    .toSorted((a, b) => naturalOrder(a.name, b.name));
  const open = new Map(counts.map((it) => [it.machineId, it.open]));
  const pops = machines.map((machine) => popOf(machine, now, open.get(machine.id) ?? 0, traffic.get(machine.id)));
  const samples = machines.flatMap((machine) => traffic.get(machine.id) ?? []);
  const asked = samples.reduce((sum, it) => sum + it.cacheable, 0);
  return {
    at: now,
    head,
    visitors: placeOf(clientRegion),
    pops,
    sites: [],
    totals: {
      serving: pops.filter(({ phase }) => phase === "serving").length,
      requestsPerSecond: samples.length === 0 ? null : samples.reduce((sum, it) => sum + it.requestsPerSecond, 0),
      errorsPerSecond: null,
      hitRate: asked === 0 ? null : samples.reduce((sum, it) => sum + it.hits, 0) / asked,
      connections: counts.reduce((sum, it) => sum + it.open, 0),
    },
    rollout: rolloutOf(machines, pops),
    events: machines
      .flatMap((machine) =>
        machine.events.map((event) => ({
          at: event.timestamp,
          text: `${machine.name}: ${eventText(event as MachineEvent)}`,
        })),
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
    image: shortImage(imageOf(machine)),
    checks: { passing: machine.checks.filter((it) => it.status === "passing").length, all: machine.checks.length },
    connections,
    requestsPerSecond: traffic?.requestsPerSecond ?? null,
    hitRate: traffic && traffic.cacheable > 0 ? traffic.hits / traffic.cacheable : null,
    memory: traffic?.memory ?? null,
    reasons: (traffic?.reasons ?? []).map((reason) => `${machine.name} is degraded, ${reason}`),
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
  return { image: shortImage(imageOf(newest)), done: done.length, of: machines.length };
}

/** Its digest, or its tag. */
function imageOf(machine: MachineRow): string {
  const { digest, tag } = currentVersion(machine).imageRef;
  return digest?.replace("sha256:", "") ?? tag ?? "";
}
