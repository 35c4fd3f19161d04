/** Which machines a new connection is tried on, and in which order. Pure: the fleet, its load and the client's place in, a list out. */
import { distanceKm } from "../../fly/regions.ts";
import type { Backend } from "./routes.ts";

/** What the edge knows of a machine besides its route. */
export interface Load {
  /** Connections open now. */
  open: number;
  /** Counts connections of the whole edge: the value at this machine's latest one, 0 before the first. */
  lastUsed: number;
}

/**
 * Nearest region first; within a region the machine with the smallest share of its soft limit in use, among equals the one that waited
 * longest. Machines at their hard limit are left out, so a full region spills over to the next one.
 */
export function choose<B extends Backend>(backends: B[], load: (machineId: string) => Load, clientRegion: string): B[] {
  return backends
    .map((backend) => ({ backend, ...load(backend.machineId), km: distanceKm(clientRegion, backend.region) }))
    .filter(({ backend, open }) => open < backend.hardLimit)
    .toSorted(
      (a, b) =>
        compare(a.km, b.km) ||
        compare(a.backend.region, b.backend.region) || // two regions of one city stay two
        compare(share(a), share(b)) ||
        compare(a.lastUsed, b.lastUsed) ||
        compare(a.backend.machineId, b.backend.machineId),
    )
    .map(({ backend }) => backend);
}

/** A soft limit of 0 is as good as 1: the first connection reaches it. */
const share = (it: { open: number; backend: Backend }): number => it.open / Math.max(1, it.backend.softLimit);

/** Subtraction would make NaN of two infinite distances. */
const compare = <T extends number | string>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0);
