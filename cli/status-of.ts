/** The state of each PoP as plain data, and what of it is not as it should be. Pure. */

import type { Machine } from "../providers/fly/schema.ts";
import { checksOf } from "../providers/fly/serving.ts";
import type { PopSeen } from "./fleet.ts";
import type { Health } from "./health.ts";

export interface PopStatus {
  pop: string;
  region: string;
  /** The machine's, `missing` when there is none, `unreachable` when its host does not answer. */
  state: string;
  /** Out of Fly Proxy's routing. */
  cordoned: boolean;
  machine: string | null;
  /** `instance_id`, ULID. */
  version: string | null;
  /** Reference as configured, pinned by digest. */
  image: string | null;
  /** Digest of the build context it was made from, as it says itself; null when it does not, or was not asked. */
  context: string | null;
  checks: { passing: number; all: number };
  /** ok, degraded, failing as `pop health` says; `unknown` when it could not be asked; null: no tailnet. */
  tailnet: string | null;
  /** Ways through the tailnet, by origin. `path` is `direct`, `relayed by <DERP region>`, `relayed by a node`; null while nobody answers. */
  origins: { origin: string; node: string | null; path: string | null; latencyMs: number | null }[];
  certificates: { host: string; expires: string | null; selfSigned: boolean }[];
  memory: { usedBytes: number; limitBytes: number } | null;
  /** Since the PoP's `pop health` started. `hitRate` 0 to 1, null before the first request the cache could answer. */
  traffic: { requests: number; hitRate: number | null } | null;
  /** Sentences: why it is not as it should be. Empty: all is well. */
  problems: string[];
}

export function statusOf(pop: PopSeen, told: { health?: Health; reason?: string }): PopStatus {
  const { machine, wanted } = pop;
  const { health } = told;
  const checks = machine ? checksOf(machine) : [];
  const state = stateOf(machine);
  const passing = checks.filter(({ status }) => status === "passing").length;
  const limitBytes =
    health?.memory?.limitBytes ?? (machine?.config?.guest?.memory_mb ?? wanted?.memoryMb ?? 0) * 1024 * 1024;
  return {
    pop: pop.name,
    region: pop.region,
    state,
    cordoned: machine?.cordoned ?? false,
    machine: machine?.id ?? null,
    version: machine?.instance_id ?? null,
    image: machine?.config?.image ?? null,
    context: health?.image ?? null,
    checks: { passing, all: checks.length },
    tailnet: health ? (health.parts.tailnet?.status ?? null) : "unknown",
    origins: (health?.origins ?? []).map(({ origin, node = null, via, relay, latencySeconds }) => ({
      origin,
      node,
      path: pathText(via, relay),
      latencyMs: latencySeconds === undefined ? null : Math.round(latencySeconds * 10_000) / 10,
    })),
    certificates: (health?.certificates ?? []).map(({ host, notAfter, selfSigned }) => ({
      host,
      expires: notAfter && !notAfter.startsWith("0001-") ? notAfter : null,
      selfSigned: selfSigned ?? false,
    })),
    memory: health?.memory ? { usedBytes: health.memory.usedBytes, limitBytes } : null,
    traffic: health?.traffic ? { requests: health.traffic.requests, hitRate: health.traffic.hitRate ?? null } : null,
    problems: problems(pop, state, told),
  };
}

function pathText(via: string | undefined, relay: string | undefined): string | null {
  if (via === undefined) return null;
  if (via === "relay") return `relayed by ${relay || "DERP"}`;
  return via === "peer" ? "relayed by a node" : via;
}

function stateOf(machine: Machine | undefined): string {
  if (!machine) return "missing";
  return machine.host_status === "unreachable" ? "unreachable" : (machine.state ?? "unknown");
}

function problems(
  { name, machine, wanted }: PopSeen,
  state: string,
  { health, reason }: { health?: Health; reason?: string },
): string[] {
  if (!machine) return [`${name}: wanted by the stack file, not there. Deploy it: npx pulumi up`];
  const found: string[] = [];
  if (!wanted) found.push(`${name}: runs, but the stack file has no such PoP. The next pulumi up removes it.`);
  if (state === "unreachable")
    return [
      ...found,
      `${name}: its host does not answer. See https://status.flyio.net; nothing can be changed there until it is back. If it stays away: npx fly-pops replace ${name}`,
    ];
  if (state !== "started")
    found.push(`${name}: machine ${machine.id} is ${state}. What it said: npx fly-pops logs ${name}`);
  if (machine.cordoned)
    found.push(
      `${name}: cordoned, Fly Proxy sends it no visitors. An update does that for moments; else: npx pulumi up --refresh`,
    );
  for (const check of checksOf(machine).filter(({ status }) => status !== "passing"))
    found.push(`${name}: check ${check.name} is ${check.status}${health ? "" : `, ${short(check.output)}`}`);
  for (const [part, { status, reason: why }] of Object.entries(health?.parts ?? {}).toSorted(([a], [b]) =>
    a < b ? -1 : 1,
  ))
    if (status !== "ok") found.push(`${name}: ${part} is ${status}${why ? `, ${short(why, longestReason)}` : ""}`);
  if (reason !== undefined) found.push(`${name}: its health could not be asked, ${reason}`);
  return found;
}

/** Several faults of a part, each with what to do. */
const longestReason = 1000;

const short = (text: string | undefined, longest = 200): string =>
  (text ?? "no output").replaceAll(/\s+/g, " ").trim().slice(0, longest) || "no output";
