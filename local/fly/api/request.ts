/** A call as the rules see it: no socket, no parsed body yet; and the small things every handler does with one. */
import type { z } from "zod";
import type { Core } from "../core/core.ts";
import { badRequest, invalidArgument, notFound, unavailable } from "../core/errors.ts";
import type { AppRow, MachineRow, VolumeRow } from "../core/fly-state.ts";
import { isBorn } from "../core/lags.ts";

export interface ApiRequest {
  method: string;
  /** With /v1, without the query; still escaped. */
  path: string;
  query?: URLSearchParams | Record<string, string>;
  /** Names in lower case. */
  headers?: Record<string, string | undefined>;
  /** The text as it came; absent or empty when there was none. */
  body?: string;
}

export interface ApiResponse {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** A request that found its route. */
export interface Call {
  /** The route, e.g. `POST machines/:id`. */
  route: string;
  query: URLSearchParams;
  headers: Record<string, string | undefined>;
  body: string;
  /** Lease nonce the caller shows. */
  nonce: string | undefined;
  /** A variable part of the path, unescaped. */
  param(name: string): string;
}

export interface Answer {
  status: number;
  /** undefined: empty. */
  json?: unknown;
}

export type Handler = (call: Call) => Answer | Promise<Answer>;
/** `METHOD path`; the path is below /v1/apps/:app/ unless it begins with apps, orgs, platform or tokens; `api/` stands for /api/v1/, graphql for /graphql. */
export type RouteTable = Record<string, Handler>;

export const json = (status: number, body: unknown): Answer => ({ status, json: body });
export const empty = (status: number): Answer => ({ status });
export const ok = (): Answer => json(200, { ok: true });

/**
 * The body by its schema; 400 when it is missing, malformed or wrong. Unknown keys are ignored, and so is a key that says null:
 * Go reads it as nothing, and fly-go sends it for whatever its caller left unset.
 */
export function bodyOf<T>(call: Call, schema: z.ZodType<T>): T {
  return parse(required(call), schema, withoutNulls);
}

/** As bodyOf, for bodies in which null says something: remove this. */
export function bodyWithNullsOf<T>(call: Call, schema: z.ZodType<T>): T {
  return parse(required(call), schema, (value) => value);
}

function required(call: Call): string {
  if (call.body.trim() === "") throw badRequest("EOF");
  return call.body;
}

/** As bodyOf, for calls that may come without: those read as `{}`. */
export function optionalBodyOf<T>(call: Call, schema: z.ZodType<T>): T {
  return parse(call.body.trim() === "" ? "{}" : call.body, schema, withoutNulls);
}

function parse<T>(text: string, schema: z.ZodType<T>, prepare: (value: unknown) => unknown): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalidArgument(`malformed JSON: ${(error as Error).message}`);
  }
  const parsed = schema.safeParse(prepare(value));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalidArgument(`${issue?.path.join(".") || "body"}: ${issue?.message}`);
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== "object" || value === null) return value;
  const given = Object.entries(value).filter(([, it]) => it !== null);
  return Object.fromEntries(given.map(([key, it]) => [key, withoutNulls(it)]));
}

export const appOf = (core: Core, call: Call): AppRow => appNamed(core, call.param("app"));

/** For calls that name their app in the body. */
export function appNamed(core: Core, name: string): AppRow {
  const app = core.flyState.apps[name];
  if (!app || !isBorn(core, app)) throw notFound("app");
  return app;
}

/** A machine that still reads: destroyed ones do for a while. */
export function machineOf(core: Core, call: Call): MachineRow {
  const app = appOf(core, call);
  const machine = core.flyState.machines[call.param("id")];
  if (!machine || machine.app !== app.name || isForgotten(core, machine) || !isBorn(core, machine))
    throw notFound("machine");
  return machine;
}

/** A machine that verbs may still reach. */
export function liveMachineOf(core: Core, call: Call): MachineRow {
  const machine = machineOf(core, call);
  if (machine.state === "destroyed") throw notFound("machine");
  if (core.flyState.unreachableZones.includes(machine.zone)) throw unavailable();
  return machine;
}

export const isForgotten = (core: Core, machine: MachineRow): boolean =>
  machine.destroyedAt !== undefined && core.clock.now() - machine.destroyedAt > core.settings.destroyedReadsForMs;

/** A volume that still reads: deleted ones do for a day. */
export function volumeOf(core: Core, call: Call): VolumeRow {
  const app = appOf(core, call);
  const volume = core.flyState.volumes[call.param("id")];
  if (!volume || volume.app !== app.name) throw notFound("volume");
  return volume;
}
