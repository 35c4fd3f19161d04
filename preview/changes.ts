/** What differs between a resource's old and new inputs, in words. Values only where they are known to be harmless. */
import { isDeepStrictEqual } from "node:util";
import { volumeSizeKey } from "../components/machine-config.ts";
import { contextVariables } from "../image/identity.ts";
import { unknownValue } from "../providers/host.ts";

export interface Difference {
  /** e.g. config.guest.memory_mb */
  path: string;
  before: unknown;
  after: unknown;
}

/** Leaves that differ. Lists count as leaves: an index says nothing to anybody. */
export function differences(before: unknown, after: unknown, path = ""): Difference[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (!isMap(before) || !isMap(after)) return [{ path, before, after }];
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((key) => key !== "__provider")
    .toSorted()
    .map((key) => ({ key, path: path === "" ? key : `${path}.${key}` }))
    .filter((it) => !silent.has(it.path))
    .flatMap(({ key, path }) => differences(before[key], after[key], path));
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Words of one difference, by path. */
const words: Record<string, (difference: Difference) => string> = {
  app: arrow("app"),
  name: arrow("name"),
  organization: arrow("organization"),
  region: arrow("region"),
  sizeGb: arrow("volume", " GB"),
  snapshotDays: arrow("snapshots", " days"),
  volume: () => "another volume",
  "config.image": ({ before, after }) => `image ${digest(before)} → ${digest(after)}`,
  [`config.env.${contextVariables.expected}`]: ({ before, after }) => `made from ${short(before)} → ${short(after)}`,
  "config.guest.memory_mb": arrow("memory", " MB"),
  "config.guest.cpus": arrow("CPUs"),
  "config.guest.cpu_kind": arrow("kind of CPU"),
  "config.services": ({ before, after }) =>
    isDeepStrictEqual(withoutLimits(before), withoutLimits(after)) ? "connection limits" : "ports",
  "config.files": () => "sealed files",
  routed: ({ after }) => (after === true ? "back into routing" : "out of routing"),
  state: arrow("state"),
  owner: arrow("stack"),
  timeoutSeconds: arrow("timeout", " s"),
  drainSeconds: arrow("drain", " s"),
  maxUnavailable: arrow("at once", " PoPs"),
  maxUnavailableInRegion: arrow("at once in its region", " PoPs"),
  "build.contextDigest": () => "what it is made from",
  imageName: () => "its tag",
};

/** What follows from something else that is told. */
const silent = new Set([`config.metadata.${volumeSizeKey}`, "build.context"]);

/** How many connections a machine takes follows from its memory. */
const withoutLimits = (services: unknown): unknown =>
  Array.isArray(services) ? services.map((it) => (isMap(it) ? { ...it, concurrency: undefined } : it)) : services;

/** `memory 256 → 512 MB`. Of what has no words of its own only the path is told. */
export function inWords(difference: Difference): string {
  const check = /^config\.checks\.([\w-]+)/.exec(difference.path)?.[1];
  if (check !== undefined) return `check ${check}`;
  const known = words[difference.path];
  if (known !== undefined) return known(difference);
  const secret = /^ciphertexts\.([\w-]+)/.exec(difference.path)?.[1];
  if (secret !== undefined) return `secret ${secret} ${fateOf(difference)}`;
  if (/^joins(\.|$)/.test(difference.path)) return "auth key";
  const variable = /^config\.env\.(\w+)/.exec(difference.path)?.[1];
  if (variable !== undefined) return `environment ${variable}`;
  return difference.path;
}

const fateOf = ({ before, after }: Difference): string =>
  before === undefined ? "is new" : after === undefined ? "is no longer used" : "changed";

function arrow(what: string, unit = ""): (difference: Difference) => string {
  return ({ before, after }) => `${what} ${value(before)} → ${value(after)}${unit}`;
}

const value = (it: unknown): string => (it === unknownValue ? "not known yet" : it === undefined ? "none" : String(it));

/** As much of a context's digest as an image's tag has. */
const short = (it: unknown): string => value(it).slice(0, 16);

/** Stands for the digest of an image that nobody has built yet, where the engine wants one. */
export const notBuilt = `sha256:${"0".repeat(64)}`;

/** Enough of a digest to tell two apart. */
function digest(ref: unknown): string {
  if (ref === unknownValue || String(ref).endsWith(notBuilt)) return "one that is still to be built";
  return /@sha256:([0-9a-f]{12})/.exec(String(ref))?.[1] ?? value(ref);
}
