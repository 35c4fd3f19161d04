/** Where things come to lie: regions, and the fake hosts (`zone`) in them. */
import { regionByCode, regions } from "../../../fly/regions.ts";
import type { Core } from "../core/core.ts";
import { badRequest, failedPrecondition, invalidArgument, unprocessable } from "../core/errors.ts";
import type { VolumeRow } from "../core/fly-state.ts";

const continents: Record<string, readonly string[]> = {
  apac: ["asia_pacific"],
  eu: ["europe"],
  na: ["north_america"],
  sa: ["south_america"],
};

export function zonesOf(core: Core, region: string): string[] {
  return Array.from(
    { length: core.settings.hostsPerRegion },
    (_, index) => `${region}-${String(index + 1).padStart(2, "0")}`,
  );
}

const isFull = (core: Core, zone: string) =>
  core.flyState.fullZones.includes(zone) || core.flyState.unreachableZones.includes(zone);

export const hasRoomIn = (core: Core, zone: string): boolean => !isFull(core, zone);

/** Takes no new machines and volumes; existing ones continue. */
export const isClosed = (core: Core, region: string): boolean =>
  core.settings.closedRegions?.includes(region) ?? regionByCode(region)?.deprecated === true;

export const hasRoom = (core: Core, region: string): boolean =>
  !isClosed(core, region) && zonesOf(core, region).some((zone) => !isFull(core, zone));

/** Regions an expression names, in its order: codes, lists (`lhr,eu`) and aliases (`any`). */
export function placeRegions(core: Core, expression: string | undefined): string[] {
  const words = (expression || core.settings.defaultRegion).split(",").map((it) => it.trim());
  return words.flatMap((word) => {
    if (regionByCode(word)) return [word];
    const current = regions.filter((it) => !it.deprecated);
    if (word === "any") return current.map((it) => it.code);
    if (word === "us" || word === "usa") return current.filter((it) => it.country === "US").map((it) => it.code);
    const geo = continents[word];
    if (!geo) throw invalidArgument(`region ${JSON.stringify(word)} not found`);
    return current.filter((it) => geo.includes(it.geoRegion)).map((it) => it.code);
  });
}

/** A host for a machine without a volume, in the first region that has room. */
export function placeMachine(core: Core, expression: string | undefined): { region: string; zone: string } {
  for (const region of placeRegions(core, expression)) {
    const zone = fullest(
      core,
      zonesOf(core, region).filter((it) => !isFull(core, it)),
    );
    if (zone) return { region, zone };
  }
  throw unprocessable("could not find a candidate host", "insufficient_capacity");
}

/** The host of a volume, where its machine must go. */
export function placeBeside(core: Core, volume: VolumeRow): { region: string; zone: string } {
  if (isFull(core, volume.zone))
    throw failedPrecondition(
      `insufficient resources to create new machine with existing volume id '${volume.id}'`,
      "volume_placement_capacity",
    );
  return { region: volume.region, zone: volume.zone };
}

/** Volumes that a new one must not share a host with: those of its name, all of its app, or none. */
export type Apart = "name" | "app" | "none";

/** A host for a volume. */
export function placeVolume(core: Core, app: string, region: string, name: string, apart: Apart): string {
  const open = zonesOf(core, region).filter((it) => !isFull(core, it));
  if (open.length === 0) throw badRequest("no capacity");
  const taken = Object.values(core.flyState.volumes)
    .filter(
      (it) => it.app === app && it.state === "created" && (apart === "app" || (apart === "name" && it.name === name)),
    )
    .map((it) => it.zone);
  const zone = fullest(
    core,
    open.filter((it) => !taken.includes(it)),
  );
  if (!zone) throw failedPrecondition(`no unique zone left for volume ${JSON.stringify(name)} in ${region}`);
  return zone;
}

/** Hosts are packed: two objects that nothing keeps apart come to lie on one. */
function fullest(core: Core, zones: string[]): string | undefined {
  const load = (zone: string) =>
    Object.values(core.flyState.machines).filter((it) => it.zone === zone && it.state !== "destroyed").length +
    Object.values(core.flyState.volumes).filter((it) => it.zone === zone && it.state === "created").length;
  return zones.map((zone) => ({ zone, load: load(zone) })).sort((a, b) => b.load - a.load)[0]?.zone;
}
