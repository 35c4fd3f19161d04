/** Rules for regions, machines, rollout and addresses. */
import { guestProblem, memoryRange, nearestMemory, presets } from "../../fly/guests.ts";
import { regionByCode, regions, regionsAsOf } from "../../fly/regions.ts";
import { cacheMb, cacheShareLimit, defaults } from "../defaults.ts";
import { type ConfigIssue, formatValue, issue } from "../issues.ts";
import type { Path } from "../schema-path.ts";
import { suggest } from "../suggest.ts";
import type { ValidPart } from "../valid-part.ts";
import { sitesAndRules } from "./sites.ts";

const current = regions.filter((it) => !it.deprecated);
const codes = current.map((it) => it.code);

/**
 * Fly has every region, and there is at least one. A region that takes no new machines may still run old ones, so the volume provider rejects new PoPs
 * there.
 */
export function checkRegions({ file, isInvalid }: ValidPart): ConfigIssue[] {
  if (file.regions === undefined) return [];
  const written = Object.keys(file.regions);
  if (written.length === 0 && !isInvalid("regions"))
    return [issue(["regions"], "is empty: expected at least one region, as in { cdg: {} }.")];
  return written.flatMap((code) => {
    return regionByCode(code) === undefined ? [issue(["regions", code], noSuchRegion(code), ":")] : [];
  });
}

function noSuchRegion(code: string): string {
  const near = suggest(code, codes) ?? regionByCity(code);
  return `no such region${near === undefined ? "." : `; did you mean ${near}?`} Expected ${codes.join(", ")} (as of ${regionsAsOf}).`;
}

/** Accepts `paris` for cdg: people know the city, not the airport code. */
function regionByCity(word: string): string | undefined {
  const plain = (text: string) => text.toLowerCase().replaceAll(/[^a-z]/g, "");
  return current.find((it) => plain(word) !== "" && plain(it.city.split(",")[0] ?? "") === plain(word))?.code;
}

/** Every PoP's memory is valid for its size. */
export function checkMemory(valid: ValidPart): ConfigIssue[] {
  return regionCodes(valid).flatMap((code) => {
    const size = setting(valid, code, "size") ?? { value: defaults.size, path: ["defaults", "size"] };
    const memory = setting(valid, code, "memoryMb");
    if (size === "invalid" || memory === "invalid" || memory === undefined) return [];
    const guest = presets[size.value];
    if (guest === undefined) return [];
    const problem = guestProblem({ ...guest, memoryMb: memory.value });
    if (problem === undefined) return [];
    const choices = nearestMemory(guest.cpuKind, guest.cpus, memory.value).join(" or ");
    // A wrong default is one error, however many regions inherit it.
    const own = memory.path[0] === "regions" || size.path[0] === "defaults";
    const path = own ? memory.path : ["regions", code, "memoryMb"];
    const inherited = own ? "" : " by defaults.memoryMb";
    return [issue(path, `is ${memory.value}${inherited}: ${size.value} ${problem}. Write ${choices}.`)];
  });
}

/** Size of the smallest volume in GB; undefined if a size is invalid. */
function smallestVolume(valid: ValidPart): number | undefined {
  const volumes = regionCodes(valid).map((code) => setting(valid, code, "volumeGb"));
  if (volumes.includes("invalid") || volumes.length === 0) return undefined;
  return Math.min(...volumes.map((it) => (typeof it === "object" ? it.value : defaults.volumeGb)));
}

/** MB of the smallest PoP's memory; undefined if a size or a memory is invalid. */
export function smallestMemory(valid: ValidPart): number | undefined {
  const all = regionCodes(valid).map((code) => {
    const size = setting(valid, code, "size");
    const memory = setting(valid, code, "memoryMb");
    if (size === "invalid" || memory === "invalid") return undefined;
    const guest = presets[size?.value ?? defaults.size];
    return memory?.value ?? (guest && memoryRange(guest.cpuKind, guest.cpus).minMb);
  });
  const known = all.filter((it) => it !== undefined);
  return known.length === 0 || known.length < all.length ? undefined : Math.min(...known);
}

/** The cache fits on the smallest volume and leaves room for the rest. */
export function checkCacheSize(valid: ValidPart): ConfigIssue[] {
  const maxSizeMb = valid.file.cache?.maxSizeMb;
  const smallestGb = smallestVolume(valid);
  if (maxSizeMb === undefined || smallestGb === undefined) return [];
  const most = Math.floor(smallestGb * 1024 * cacheShareLimit);
  if (maxSizeMb <= most) return [];
  return [
    issue(
      ["cache", "maxSizeMb"],
      `is ${maxSizeMb}, too large for the smallest volume of ${smallestGb} GB. Write ${most} or less.`,
    ),
  ];
}

/** A single response may use at most half of the cache, because a new copy is written before the old one is removed. */
export function checkMaxFileSize(valid: ValidPart): ConfigIssue[] {
  if (valid.isInvalid("cache")) return [];
  const smallestGb = smallestVolume(valid);
  const maxSizeMb = valid.file.cache?.maxSizeMb ?? (smallestGb === undefined ? undefined : cacheMb(smallestGb));
  if (maxSizeMb === undefined) return [];
  const most = Math.floor(maxSizeMb / 2);
  return sitesAndRules(valid.file).flatMap(({ keys, at }) => {
    const given = keys.cache ? keys.cache.maxFileMb : undefined;
    if (given === undefined || given <= most) return [];
    const why = `is ${given}: all sites together store ${maxSizeMb} MB. Write ${most} or less, or raise cache.maxSizeMb.`;
    return [issue([...at, "cache", "maxFileMb"], why)];
  });
}

/** The canary is a PoP of this stack. */
export function checkCanary(valid: ValidPart): ConfigIssue[] {
  const canary = valid.file.rollout?.canary;
  const pops = validPopNames(valid);
  if (canary === undefined || pops === undefined) return [];
  return noSuchPop(["rollout", "canary"], canary, [...regionCodes(valid), ...pops]);
}

/** What is adopted is a PoP of this stack. */
export function checkAdopted(valid: ValidPart): ConfigIssue[] {
  const pops = validPopNames(valid);
  if (pops === undefined) return [];
  return Object.keys(valid.file.adopt?.pops ?? {}).flatMap((name) => noSuchPop(["adopt", "pops", name], name, pops));
}

/** Undefined if a region or its replicas are invalid, or if there is no region: the names of PoPs are unknown then. */
function validPopNames(valid: ValidPart): string[] | undefined {
  const written = regionCodes(valid);
  if (written.length === 0) return undefined;
  if (valid.isInvalid("regions") || written.some((code) => valid.isInvalid("regions", code))) return undefined;
  const pops = written.flatMap((code) => {
    const replicas = setting(valid, code, "replicas");
    return replicas === "invalid" ? undefined : popNames(code, replicas?.value ?? defaults.replicas);
  });
  return pops.every((it) => it !== undefined) ? pops : undefined;
}

function noSuchPop(path: Path, name: string, names: string[]): ConfigIssue[] {
  if (names.includes(name)) return [];
  const near = suggest(name, names);
  const shown = names.length <= 12 ? names.join(", ") : `${names.slice(0, 12).join(", ")}, ...`;
  return [
    issue(
      path,
      `is ${formatValue(name)}: no such PoP${near === undefined ? "." : `; did you mean ${near}?`} Expected ${shown}.`,
    ),
  ];
}

/** One address of each kind is enough, because it is anycast: all PoPs answer on it. */
export function checkUniqueAddresses({ file }: ValidPart): ConfigIssue[] {
  const addresses = file.addresses ?? [];
  return addresses.flatMap((kind, index) =>
    kind !== undefined && addresses.indexOf(kind) < index
      ? [issue(["addresses", index], `is ${formatValue(kind)}, which is listed already. List each kind once.`)]
      : [],
  );
}

/** `cdg-1`, `cdg-2`, ... */
export function popNames(region: string, replicas: number): string[] {
  return Array.from({ length: replicas }, (_, index) => `${region}-${index + 1}`);
}

const regionCodes = ({ file }: ValidPart): string[] => Object.keys(file.regions ?? {}).toSorted();

type Settings = NonNullable<NonNullable<ValidPart["file"]["defaults"]>>;
type Found<K extends keyof Settings> = { value: NonNullable<Settings[K]>; path: Path } | "invalid" | undefined;

/** A region's own value, else the one of `defaults`; "invalid" if the value that applies is itself invalid. */
function setting<K extends keyof Settings>({ file, isInvalid }: ValidPart, code: string, key: K): Found<K> {
  for (const [path, settings] of [
    [["regions", code, key], file.regions?.[code]],
    [["defaults", key], file.defaults],
  ] as const) {
    if (isInvalid(...path)) return "invalid";
    const value: Settings[K] = settings?.[key];
    if (value !== undefined && value !== null) return { value, path };
  }
  return undefined;
}
