/** Rules of regions, machines, rollout and addresses. */
import { guestProblem, memoryRange, nearestMemory, presets } from "../../providers/fly/guests.ts";
import { regionByCode, regions, regionsAsOf } from "../../providers/fly/regions.ts";
import { cacheMb, cacheShareLimit, defaults } from "../defaults.ts";
import { given, type Mistake, mistake } from "../mistakes.ts";
import { nearest } from "../nearest.ts";
import type { Sketch } from "../sketch.ts";
import type { Path } from "../walk.ts";
import { holders } from "./sites.ts";

const current = regions.filter((it) => !it.deprecated);
const codes = current.map((it) => it.code);

/** Every region is one that Fly has; there is at least one. One that takes no new machines may have old ones: that is the volume's to refuse. */
export function regionsExist({ file, unclear }: Sketch): Mistake[] {
  if (file.regions === undefined) return [];
  const written = Object.keys(file.regions);
  if (written.length === 0 && !unclear("regions"))
    return [mistake(["regions"], "is empty: takes at least one region, as in { cdg: {} }.")];
  return written.flatMap((code) => {
    return regionByCode(code) === undefined ? [mistake(["regions", code], noSuchRegion(code), ":")] : [];
  });
}

function noSuchRegion(code: string): string {
  const near = nearest(code, codes) ?? cityCode(code);
  return `no such region${near === undefined ? "." : `; did you mean ${near}?`} Takes ${codes.join(", ")} (as of ${regionsAsOf}).`;
}

/** `paris` for cdg: many know the city, not the airport. */
function cityCode(word: string): string | undefined {
  const plain = (text: string) => text.toLowerCase().replaceAll(/[^a-z]/g, "");
  return current.find((it) => plain(word) !== "" && plain(it.city.split(",")[0] ?? "") === plain(word))?.code;
}

/** Every PoP's memory is one its size takes. */
export function memoryFits(sketch: Sketch): Mistake[] {
  return regionCodes(sketch).flatMap((code) => {
    const size = setting(sketch, code, "size") ?? { value: defaults.size, path: ["defaults", "size"] };
    const memory = setting(sketch, code, "memoryMb");
    if (size === "unclear" || memory === "unclear" || memory === undefined) return [];
    const guest = presets[size.value];
    if (guest === undefined) return [];
    const problem = guestProblem({ ...guest, memoryMb: memory.value });
    if (problem === undefined) return [];
    const choices = nearestMemory(guest.cpuKind, guest.cpus, memory.value).join(" or ");
    // One wrong default is one mistake, however many regions inherit it.
    const own = memory.path[0] === "regions" || size.path[0] === "defaults";
    const path = own ? memory.path : ["regions", code, "memoryMb"];
    const inherited = own ? "" : " by defaults.memoryMb";
    return [mistake(path, `is ${memory.value}${inherited}: ${size.value} ${problem}. Write ${choices}.`)];
  });
}

/** Size of the smallest volume in GB; undefined if a size is invalid. */
function smallestVolume(sketch: Sketch): number | undefined {
  const volumes = regionCodes(sketch).map((code) => setting(sketch, code, "volumeGb"));
  if (volumes.includes("unclear") || volumes.length === 0) return undefined;
  return Math.min(...volumes.map((it) => (typeof it === "object" ? it.value : defaults.volumeGb)));
}

/** MB of the smallest PoP's memory; undefined if a size or a memory is invalid. */
export function smallestMemory(sketch: Sketch): number | undefined {
  const all = regionCodes(sketch).map((code) => {
    const size = setting(sketch, code, "size");
    const memory = setting(sketch, code, "memoryMb");
    if (size === "unclear" || memory === "unclear") return undefined;
    const guest = presets[size?.value ?? defaults.size];
    return memory?.value ?? (guest && memoryRange(guest.cpuKind, guest.cpus).minMb);
  });
  const known = all.filter((it) => it !== undefined);
  return known.length === 0 || known.length < all.length ? undefined : Math.min(...known);
}

/** The cache leaves room on the smallest volume. */
export function cacheFits(sketch: Sketch): Mistake[] {
  const maxSizeMb = sketch.file.cache?.maxSizeMb;
  const smallestGb = smallestVolume(sketch);
  if (maxSizeMb === undefined || smallestGb === undefined) return [];
  const most = Math.floor(smallestGb * 1024 * cacheShareLimit);
  if (maxSizeMb <= most) return [];
  return [
    mistake(
      ["cache", "maxSizeMb"],
      `is ${maxSizeMb}: the smallest volume has ${smallestGb} GB. Write ${most} or less.`,
    ),
  ];
}

/** A single response takes at most half of the cache, because a new copy is written before the old one is removed. */
export function filesFit(sketch: Sketch): Mistake[] {
  if (sketch.unclear("cache")) return [];
  const smallestGb = smallestVolume(sketch);
  const maxSizeMb = sketch.file.cache?.maxSizeMb ?? (smallestGb === undefined ? undefined : cacheMb(smallestGb));
  if (maxSizeMb === undefined) return [];
  const most = Math.floor(maxSizeMb / 2);
  return holders(sketch.file).flatMap(({ keys, at }) => {
    const given = keys.cache ? keys.cache.maxFileMb : undefined;
    if (given === undefined || given <= most) return [];
    const why = `is ${given}: all sites together store ${maxSizeMb} MB. Write ${most} or less, or raise cache.maxSizeMb.`;
    return [mistake([...at, "cache", "maxFileMb"], why)];
  });
}

/** The canary is a PoP of this stack. */
export function canaryExists(sketch: Sketch): Mistake[] {
  const canary = sketch.file.rollout?.canary;
  const pops = namesOfPops(sketch);
  if (canary === undefined || pops === undefined) return [];
  return noSuchPop(["rollout", "canary"], canary, [...regionCodes(sketch), ...pops]);
}

/** What is adopted is a PoP of this stack. */
export function adoptedExist(sketch: Sketch): Mistake[] {
  const pops = namesOfPops(sketch);
  if (pops === undefined) return [];
  return Object.keys(sketch.file.adopt?.pops ?? {}).flatMap((name) => noSuchPop(["adopt", "pops", name], name, pops));
}

/** Undefined while a region or a number of replicas is in doubt, or no region is named: the names of PoPs are not known then. */
function namesOfPops(sketch: Sketch): string[] | undefined {
  const written = regionCodes(sketch);
  if (written.length === 0) return undefined;
  if (sketch.unclear("regions") || written.some((code) => sketch.unclear("regions", code))) return undefined;
  const pops = written.flatMap((code) => {
    const replicas = setting(sketch, code, "replicas");
    return replicas === "unclear" ? undefined : popNames(code, replicas?.value ?? defaults.replicas);
  });
  return pops.every((it) => it !== undefined) ? pops : undefined;
}

function noSuchPop(path: Path, name: string, names: string[]): Mistake[] {
  if (names.includes(name)) return [];
  const near = nearest(name, names);
  const shown = names.length <= 12 ? names.join(", ") : `${names.slice(0, 12).join(", ")}, ...`;
  return [
    mistake(
      path,
      `is ${given(name)}: no such PoP${near === undefined ? "." : `; did you mean ${near}?`} Takes ${shown}.`,
    ),
  ];
}

/** One address of a kind is enough: all PoPs answer on it. */
export function addressesDiffer({ file }: Sketch): Mistake[] {
  const addresses = file.addresses ?? [];
  return addresses.flatMap((kind, index) =>
    kind !== undefined && addresses.indexOf(kind) < index
      ? [mistake(["addresses", index], `is ${given(kind)} again. Takes each kind once.`)]
      : [],
  );
}

/** `cdg-1`, `cdg-2`, ... */
export function popNames(region: string, replicas: number): string[] {
  return Array.from({ length: replicas }, (_, index) => `${region}-${index + 1}`);
}

const regionCodes = ({ file }: Sketch): string[] => Object.keys(file.regions ?? {}).toSorted();

type Settings = NonNullable<NonNullable<Sketch["file"]["defaults"]>>;
type Found<K extends keyof Settings> = { value: NonNullable<Settings[K]>; path: Path } | "unclear" | undefined;

/** A region's own value, else the one of `defaults`; unclear where the one that counts is itself a mistake. */
function setting<K extends keyof Settings>({ file, unclear }: Sketch, code: string, key: K): Found<K> {
  for (const [path, settings] of [
    [["regions", code, key], file.regions?.[code]],
    [["defaults", key], file.defaults],
  ] as const) {
    if (unclear(...path)) return "unclear";
    const value: Settings[K] = settings?.[key];
    if (value !== undefined && value !== null) return { value, path };
  }
  return undefined;
}
