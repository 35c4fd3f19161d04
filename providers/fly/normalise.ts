/**
 * Normalises machine configs, so that what Fly adds, drops or writes differently does not look like a change: defaults and empty values are
 * left out, durations become milliseconds, "stop" becomes true.
 */

import { isDeepStrictEqual } from "node:util";
import { parseDuration } from "../../fly/durations.ts";
import { withCurrentKeys } from "../../fly/metadata.ts";
import type { ImageRef, MachineConfig } from "../../fly/wire.ts";
import { byKey } from "../../lib/order.ts";

type Plain = Record<string, unknown>;

const durationKeys = new Set(["interval", "timeout", "grace_period", "idle_timeout", "headers_read_timeout"]);

/** Keys whose false or 0 is significant, and kept by Fly: they are pointers in its code. The zero value of every other key is left out. */
const significantZeroValues = new Set(["autostart", "min_machines_running", "tls_skip_verify", "h2_backend"]);

/** Fly limits the interval of a service's check to one minute. */
const minuteMs = 60_000;

/** Defaults of top-level keys. Fly fills them in. */
const defaults: Plain = {
  guest: { cpu_kind: "shared", cpus: 1, memory_mb: 256 },
  restart: { policy: "on-failure" },
};

/** The config without insignificant keys. Two configs mean the same if their normal forms are deeply equal. */
export function normalise(config: MachineConfig): Plain {
  const plain = clean(config) as Plain | undefined;
  const { services, mounts, metadata, restart, ...rest } = plain ?? {};
  const normal: Plain = {
    ...rest,
    ...present("services", (services as Plain[] | undefined)?.map(normalService)),
    // Fly fills in name, size and encryption from the volume.
    ...present(
      "mounts",
      (mounts as Plain[] | undefined)?.map(({ name: _, size_gb: __, encrypted: ___, ...mount }) => mount),
    ),
    ...present("metadata", stripFlyMetadata(metadata as Plain | undefined)),
    ...present("restart", normalRestart(restart as Plain | undefined)),
  };
  for (const [key, value] of Object.entries(defaults)) if (isDeepStrictEqual(normal[key], value)) delete normal[key];
  return normal;
}

/**
 * The found config, spelled like the desired one: each value that means the same keeps the desired spelling, at any depth, so that a preview
 * shows only what changed. Images are compared by digest if `desired` pins one.
 */
export function alignToDesired(
  desired: MachineConfig,
  found: MachineConfig,
  image: ImageRef | null | undefined,
): MachineConfig {
  const [normalDesired, normalFound] = [normalise(desired), normalise(found)];
  if (sameImage(desired.image, found.image, image)) normalFound.image = normalDesired.image;
  return mergeBySpelling(desired, found, normalDesired, normalFound) as MachineConfig;
}

/** `desired` and `found` are the configs as written; `normalDesired` and `normalFound` their normal forms. */
function mergeBySpelling(desired: unknown, found: unknown, normalDesired: unknown, normalFound: unknown): unknown {
  if (isDeepStrictEqual(normalDesired, normalFound)) return desired;
  // A key that only one side has is a difference as a whole.
  if (isMap(desired) && isMap(found) && isMap(normalDesired) && isMap(normalFound)) {
    const result: Plain = { ...desired };
    for (const key of new Set([...Object.keys(normalDesired), ...Object.keys(normalFound)])) {
      if (normalFound[key] === undefined) delete result[key];
      else result[key] = mergeBySpelling(desired[key], found[key], normalDesired[key], normalFound[key]);
    }
    return result;
  }
  if (Array.isArray(desired) && Array.isArray(found) && Array.isArray(normalDesired) && Array.isArray(normalFound))
    return found.map((item, at) =>
      at < desired.length ? mergeBySpelling(desired[at], item, normalDesired[at], normalFound[at]) : item,
    );
  return found;
}

const isMap = (value: unknown): value is Plain => typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether both configs describe the same machine. */
export const sameConfig = (a: MachineConfig, b: MachineConfig, image?: ImageRef | null): boolean =>
  isDeepStrictEqual(alignToDesired(a, b, image), { ...a });

function sameImage(desired: string | undefined, found: string | undefined, ref: ImageRef | null | undefined): boolean {
  if (desired === found) return true;
  const digest = desired?.split("@")[1];
  return digest !== undefined && digest === (found?.split("@")[1] ?? ref?.digest);
}

const present = (key: string, value: unknown): Plain => (isEmpty(value) ? {} : { [key]: value });

const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === "" ||
  (Array.isArray(value) && value.length === 0) ||
  (typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length === 0);

/** The value without what Go's omitempty leaves out; undefined if nothing remains. Lists keep their length. */
function clean(value: unknown, key = ""): unknown {
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map((item) => clean(item) ?? item);
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value)
      .map(([name, item]) => [name, isFreeForm(key) ? item : clean(item, name)] as const)
      .filter(([, item]) => item !== undefined);
    return entries.length === 0 ? undefined : Object.fromEntries(entries.toSorted(byKey));
  }
  if (durationKeys.has(key) && (typeof value === "string" || typeof value === "number"))
    return parseDuration(value) || undefined;
  if (key === "autostop") return normalAutostop(value);
  if ((value === false || value === 0) && significantZeroValues.has(key)) return value;
  return value === null || value === "" || value === false || value === 0 ? undefined : value;
}

/** Maps with keys of the user, in which an empty string is a value. */
const isFreeForm = (key: string): boolean => key === "env" || key === "metadata";

/** Fly returns false, true or "suspend" for off, stop and suspend. */
function normalAutostop(value: unknown): unknown {
  if (value === "off" || value === false) return undefined;
  return value === "stop" ? true : value;
}

function normalService(service: Plain): Plain {
  const { concurrency, checks, force_instance_key: _, ...rest } = service;
  return {
    ...rest,
    ...present("concurrency", normalConcurrency(concurrency as Plain | undefined)),
    ...present(
      "checks",
      (checks as Plain[] | undefined)?.map((check) => ({
        ...check,
        ...(typeof check.interval === "number" ? { interval: Math.min(check.interval, minuteMs) } : {}),
      })),
    ),
  };
}

/** Absent means Fly's default of 20 connections. */
function normalConcurrency(concurrency: Plain | undefined): Plain | undefined {
  if (concurrency === undefined) return undefined;
  const whole = { type: "connections", ...concurrency };
  return isDeepStrictEqual(whole, { type: "connections", soft_limit: 20 }) ? undefined : whole;
}

/** No policy means on-failure with 10 retries. */
function normalRestart(restart: Plain | undefined): Plain {
  const { policy = "on-failure", max_retries, ...rest } = restart ?? {};
  const retries = policy === "on-failure" && max_retries === 10 ? undefined : max_retries;
  return { policy, ...(retries === undefined ? {} : { max_retries: retries }), ...rest };
}

/** The metadata without the keys that flyctl writes for itself, and with our former keys under their current names. */
function stripFlyMetadata(metadata: Plain | undefined): Plain | undefined {
  if (metadata === undefined) return undefined;
  return Object.fromEntries(Object.entries(withCurrentKeys(metadata)).filter(([key]) => !key.startsWith("fly_")));
}
