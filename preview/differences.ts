/** Describes the differences between a resource's old and new inputs. Shows values only of paths known to be harmless. */
import { isDeepStrictEqual } from "node:util";
import { formerKeys, metadataKeys } from "../fly/metadata.ts";
import { contextVariables } from "../image/identity.ts";
import { unknownValue } from "../providers/unknown-value.ts";

export interface Difference {
  /** e.g. config.guest.memory_mb */
  path: string;
  before: unknown;
  after: unknown;
}

/** Leaves that differ. Lists count as leaves, because indexes are meaningless to readers. */
export function differences(before: unknown, after: unknown, path = ""): Difference[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (!isMap(before) || !isMap(after)) return [{ path, before, after }];
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((key) => key !== "__provider")
    .toSorted()
    .map((key) => ({ key, path: path === "" ? key : `${path}.${key}` }))
    .filter((it) => !derivedPaths.has(it.path))
    .flatMap(({ key, path }) => differences(before[key], after[key], path));
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Descriptions of differences, by path. */
const descriptions: Record<string, (difference: Difference) => string> = {
  app: beforeAfter("app"),
  name: beforeAfter("name"),
  organization: beforeAfter("organization"),
  region: beforeAfter("region"),
  sizeGb: beforeAfter("volume", " GB"),
  snapshotDays: beforeAfter("snapshots", " days"),
  volume: () => "different volume",
  "config.image": ({ before, after }) => `image ${digest(before)} → ${digest(after)}`,
  [`config.env.${contextVariables.expected}`]: ({ before, after }) =>
    `build context ${short(before)} → ${short(after)}`,
  "config.guest.memory_mb": beforeAfter("memory", " MB"),
  "config.guest.cpus": beforeAfter("CPUs"),
  "config.guest.cpu_kind": beforeAfter("CPU kind"),
  "config.services": ({ before, after }) =>
    isDeepStrictEqual(withoutLimits(before), withoutLimits(after)) ? "connection limits" : "ports",
  "config.files": () => "encrypted files",
  ...Object.fromEntries(
    Object.keys(formerKeys).map((key) => [`config.metadata.${key}`, () => "names of metadata keys"]),
  ),
  routed: ({ after }) => (after === true ? "added to routing" : "removed from routing"),
  state: beforeAfter("state"),
  owner: beforeAfter("stack"),
  timeoutSeconds: beforeAfter("timeout", " s"),
  drainSeconds: beforeAfter("drain", " s"),
  maxUnavailable: beforeAfter("at once", " PoPs"),
  maxUnavailableInRegion: beforeAfter("at once in its region", " PoPs"),
  "build.contextDigest": () => "build context",
  imageName: () => "its tag",
};

/** Paths whose changes follow from another difference that is shown. */
const derivedPaths = new Set([`config.metadata.${metadataKeys.volumeGb}`, "build.context"]);

/** Connection limits follow from the machine's memory. */
const withoutLimits = (services: unknown): unknown =>
  Array.isArray(services) ? services.map((it) => (isMap(it) ? { ...it, concurrency: undefined } : it)) : services;

/** `memory 256 → 512 MB`. Without a description, only the path is shown. */
export function describeDifference(difference: Difference): string {
  const check = /^config\.checks\.([\w-]+)/.exec(difference.path)?.[1];
  if (check !== undefined) return `check ${check}`;
  const known = descriptions[difference.path];
  if (known !== undefined) return known(difference);
  const secret = /^ciphertexts\.([\w-]+)/.exec(difference.path)?.[1];
  if (secret !== undefined) return `secret ${secret} ${presenceText(difference)}`;
  if (/^joins(\.|$)/.test(difference.path)) return "auth key";
  const variable = /^config\.env\.(\w+)/.exec(difference.path)?.[1];
  if (variable !== undefined) return `environment ${variable}`;
  return difference.path;
}

const presenceText = ({ before, after }: Difference): string =>
  before === undefined ? "is new" : after === undefined ? "is no longer used" : "changed";

function beforeAfter(what: string, unit = ""): (difference: Difference) => string {
  return ({ before, after }) => `${what} ${value(before)} → ${value(after)}${unit}`;
}

const value = (it: unknown): string => (it === unknownValue ? "not known yet" : it === undefined ? "none" : String(it));

/** As much of a build context's digest as the image's tag has. */
const short = (it: unknown): string => value(it).slice(0, 16);

/** Placeholder digest for an image that is not built yet, where the engine needs one. */
export const unbuiltDigest = `sha256:${"0".repeat(64)}`;

/** Enough of a digest to tell two apart. */
function digest(ref: unknown): string {
  if (ref === unknownValue || String(ref).endsWith(unbuiltDigest)) return "a new image";
  return /@sha256:([0-9a-f]{12})/.exec(String(ref))?.[1] ?? value(ref);
}
