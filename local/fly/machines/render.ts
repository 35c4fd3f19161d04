/** A machine config as Fly answers it. Pure; rendering what was rendered changes nothing. */

import { parseDuration } from "../../../fly/durations.ts";
import { presets } from "../../../fly/guests.ts";
import type { MachineConfig, Mount } from "../../../fly/wire.ts";
import { formatDuration } from "./durations.ts";
import { type Field, machineConfig, type Struct } from "./structs.ts";

type Json = Record<string, unknown>;

/** What a mount shows of its volume. */
export type VolumeFacts = (id: string) => { name: string; encrypted: boolean; sizeGb: number } | undefined;

/** Service checks are run at least so often, whatever the config says. */
const longestServiceInterval = 60_000;
const smallestGuest = { cpu_kind: "shared", cpus: 1, memory_mb: 256 };

export function renderConfig(received: MachineConfig, volume: VolumeFacts): MachineConfig {
  const rendered = struct(machineConfig, received);
  rendered.guest = guest(received);
  if (received.services?.length) rendered.services = (rendered.services as Json[]).map(service);
  if (received.mounts?.length) rendered.mounts = (rendered.mounts as Mount[]).map((it) => mount(it, volume));
  return rendered as MachineConfig;
}

function struct(shape: Struct, value: Json): Json {
  const out: Json = {};
  for (const [key, field] of Object.entries(shape)) {
    const printed = print(field, value[key]);
    if (printed !== undefined) out[key] = printed;
  }
  return out;
}

/** undefined: the key is missing. null in is nothing given, as in Go. */
function print(field: Field, value: unknown): unknown {
  const given = value !== undefined && value !== null;
  switch (field.is) {
    case "plain":
      return given && !isEmpty(value) ? value : undefined;
    case "pointer":
      return given ? value : undefined;
    case "always":
      return given ? value : field.empty;
    case "duration":
      return given ? duration(value as string | number) : undefined;
    case "struct":
      return given || field.given === "required" ? struct(field.of, (value ?? {}) as Json) : undefined;
    case "list":
      return given && !isEmpty(value) ? (value as Json[]).map((it) => struct(field.of, it)) : undefined;
    case "map":
      return given && !isEmpty(value)
        ? Object.fromEntries(
            Object.entries(value as Record<string, Json>).map(([key, it]) => [key, struct(field.of, it)]),
          )
        : undefined;
    default:
      return field satisfies never;
  }
}

function isEmpty(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length === 0;
  return value === "" || value === 0 || value === false;
}

function duration(value: string | number): string {
  const ms = parseDuration(value);
  return ms === undefined ? String(value) : formatDuration(ms);
}

/** `size` is a deprecated short form; what a guest leaves out is the smallest machine's. */
function guest(received: MachineConfig): Json {
  const size = typeof received.size === "string" ? presets[received.size] : undefined;
  if (size)
    return { cpu_kind: size.cpuKind, cpus: size.cpus, memory_mb: size.cpus * (size.cpuKind === "shared" ? 256 : 2048) };
  const own = machineConfig.guest;
  const given = received.guest && own?.is === "struct" ? struct(own.of, received.guest) : {};
  return { ...smallestGuest, ...given };
}

function service(it: Json): Json {
  const checks = it.checks as Json[] | undefined;
  return {
    ...it,
    ...(it.autostop === undefined ? {} : { autostop: autostop(it.autostop) }),
    ...(checks === undefined ? {} : { checks: checks.map(clamp) }),
  };
}

/** `off` and `stop` come back as booleans, `suspend` as the word. */
function autostop(value: unknown): unknown {
  if (value === "off") return false;
  return value === "stop" ? true : value;
}

function clamp(check: Json): Json {
  const interval = typeof check.interval === "string" ? parseDuration(check.interval) : undefined;
  return interval !== undefined && interval > longestServiceInterval
    ? { ...check, interval: formatDuration(longestServiceInterval) }
    : check;
}

function mount(it: Mount, volume: VolumeFacts): Mount {
  const facts = it.volume === undefined ? undefined : volume(it.volume);
  if (!facts) return it;
  return { ...it, name: facts.name, size_gb: facts.sizeGb, ...(facts.encrypted ? { encrypted: true } : {}) };
}
