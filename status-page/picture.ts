/** What the status page shows: one object, drawn by page.mjs. The local stack and the dashboard of any other make it, each of what it knows. Pure. */

import { regionByCode } from "../fly/regions.ts";
import type { ExitEvent, MachineEvent } from "../fly/wire.ts";
import { type Point, project } from "./map.ts";

export interface Picture {
  /** Milliseconds since the epoch. */
  at: number;
  head: Head;
  /** Where the visitors are; null where that is not known. */
  visitors: Place | null;
  pops: PopPicture[];
  /** The busiest first; empty where no PoP reports by site. */
  sites: SitePicture[];
  totals: {
    serving: number;
    /** Null while no PoP tells. */
    requestsPerSecond: number | null;
    /** 5xx a second; null where no PoP reports them. */
    errorsPerSecond: number | null;
    /** 0 to 1, of the last seconds; null when nothing was asked of the cache. */
    hitRate: number | null;
    /** Connections of visitors that are open; null while no PoP reports them. */
    connections: number | null;
  };
  /** How many PoPs run, and serve, the newest image. */
  rollout: { image: string; done: number; of: number };
  /** Newest first. */
  events: { at: number; text: string }[];
}

export interface Head {
  /** "local stack", or the stack's name. */
  title: string;
  /** App and addresses in one line, or nothing. */
  about: string[];
  /** Why what is shown is not of now; null: it is. */
  problem: string | null;
  /** What to say when there is no PoP, and when none answers any more. */
  none: string;
  gone: string;
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
  /** Open ones of visitors; null: not known. */
  connections: number | null;
  requestsPerSecond: number | null;
  hitRate: number | null;
  memory: { usedBytes: number; limitBytes: number } | null;
  /** Sentences: why it is not as it should be. Empty when it is. */
  reasons: string[];
}

export interface SitePicture {
  site: string;
  requestsPerSecond: number;
  errorsPerSecond: number;
  /** 0 to 1; null when the cache was not asked. */
  hitRate: number | null;
  /** Null when nothing was asked. */
  p95Seconds: number | null;
  /** The one that ends first among the PoPs'; null: none is known. */
  certificate: { begins: number | null; ends: number; selfSigned: boolean } | null;
}

/** `drained`: out of routing, on its feet. `checking`: up, its checks do not pass yet. `missing`: wanted, and not there. */
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
  | "leaving"
  | "unreachable"
  | "missing";

/** Seconds a machine may take after boot before checks that do not pass mean trouble. */
export const settlingSeconds = 60;
export const eventsShown = 10;

export function placeOf(code: string): Place | null {
  const region = regionByCode(code);
  return region ? { region: code, city: region.city, ...project(region.longitude, region.latitude) } : null;
}

/** Enough of a digest to tell two images apart. */
export const shortImage = (digest: string): string => digest.replace("sha256:", "").slice(0, 12);

/** What people say for the types of events, where it is not the type itself. */
const words: Record<string, string> = {
  launch: "made",
  update: "is given a new version",
  start: "started",
  cordon: "taken out of routing",
  uncordon: "back in routing",
};

/** An event of the Machines API in a few words, with the reason where Fly has one. */
export function eventText({ type = "event", status, request }: MachineEvent): string {
  if (request?.exit_event) return exitText(request.exit_event);
  return words[type] ?? (status === undefined || type === status ? type : `${type}, ${status}`);
}

function exitText({ exit_code, guest_exit_code, guest_signal = 0, oom_killed, requested_stop }: ExitEvent): string {
  if (oom_killed) return "ran out of memory";
  const how =
    guest_signal > 0 ? `ended by signal ${guest_signal}` : `ended, exit code ${guest_exit_code || exit_code || 0}`;
  return requested_stop ? `${how}, as asked` : how;
}
