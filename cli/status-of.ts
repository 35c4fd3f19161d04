/** The state of each PoP as plain data, and what of it is not as it should be. Pure. */

import { checksOf } from "../providers/fly/machine-health.ts";
import type { Machine } from "../providers/fly/wire.ts";
import type { Connections } from "./connections.ts";
import type { PopSeen } from "./fleet.ts";
import type { Health } from "./health.ts";
import type { Under } from "./under-way.ts";

export interface Lease {
  /** RFC 3339. */
  until: string;
  /** Of the token, as Fly says it. */
  owner: string | null;
  /** What for, e.g. "fly-pops: update of cdg-1". */
  description: string | null;
}

/** What was found out about a PoP beside its machine. */
export interface Told {
  health?: Health;
  /** Why its health is not known. */
  reason?: string;
  lease?: Lease;
  /** Of a PoP without a machine: what the state has of it. Absent: the state could not be read. */
  state?: Under;
  /** The stack file has mistakes: what it wants is not known. */
  unread?: boolean;
}

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
  certificates: { host: string; begins: string | null; expires: string | null; selfSigned: boolean }[];
  /** What it logs in to the vault with; `ends` null: it does not, or it is not known. null: there is no vault, or it was not asked yet. */
  vaultSecretId: {
    created: string | null;
    ends: string | null;
    usesLeft: number | null;
    unknown: string | null;
  } | null;
  memory: { usedBytes: number; limitBytes: number } | null;
  /** Since the PoP's `pop health` started. `rejected`: by a limit or a block. `hitRate` 0 to 1, null before the first request the cache could answer. */
  traffic: { requests: number; rejected: number; hitRate: number | null } | null;
  /** By port, as in `22`, and by host of a site whose TLS ends at home; since the PoP's `pop health` started. Connections count when they end. Empty: there are none. */
  connections: Record<string, Connections>;
  /** Hosts it answers with 503 for now; null: it was not asked. */
  maintenance: string[] | null;
  /** Who has leased its machine out to change it; null: nobody, or nobody was asked. */
  lease: Lease | null;
  /** Sentences: why it is not as it should be. Empty: all is well. */
  problems: string[];
}

export function statusOf(pop: PopSeen, told: Told): PopStatus {
  const { machine, wanted } = pop;
  const { health } = told;
  const checks = machine ? checksOf(machine) : [];
  const state = stateOf(machine);
  // Rows of a machine that does not run are of the time before.
  const passing = state === "started" ? checks.filter(({ status }) => status === "passing").length : 0;
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
    certificates: (health?.certificates ?? []).map(({ host, notBefore, notAfter, selfSigned }) => ({
      host,
      begins: timeOf(notBefore),
      expires: timeOf(notAfter),
      selfSigned: selfSigned ?? false,
    })),
    vaultSecretId: health?.vaultSecretId ? secretIdOf(health.vaultSecretId) : null,
    memory: health?.memory ? { usedBytes: health.memory.usedBytes, limitBytes } : null,
    traffic: health?.traffic ? trafficOf(health.traffic) : null,
    connections: connectionsOf(health),
    maintenance: health?.maintenance ?? null,
    lease: told.lease ?? null,
    problems: problems(pop, state, told),
  };
}

const secretIdOf = ({ createdAt, endsAt, usesLeft, unknown }: NonNullable<Health["vaultSecretId"]>) => ({
  created: createdAt ?? null,
  ends: endsAt ?? null,
  usesLeft: usesLeft ?? null,
  unknown: unknown ?? null,
});

/** Go's zero time is none. */
const timeOf = (text: string | undefined): string | null => (text && !text.startsWith("0001-") ? text : null);

const trafficOf = ({ requests, rejected, hitRate = null }: NonNullable<Health["traffic"]>) => ({
  requests,
  rejected,
  hitRate,
});

const connectionsOf = (health: Health | undefined): PopStatus["connections"] =>
  Object.fromEntries(
    Object.entries({ ...health?.ports, ...health?.passThrough }).map(
      ([
        target,
        {
          connections: { served = 0, limited = 0, blocked = 0, failed = 0 },
          sentBytes,
          receivedBytes,
        },
      ]) => [target, { served, refused: limited + blocked, failed, sentBytes, receivedBytes }],
    ),
  );

function pathText(via: string | undefined, relay: string | undefined): string | null {
  if (via === undefined) return null;
  if (via === "relay") return `relayed by ${relay || "DERP"}`;
  return via === "peer" ? "relayed by a node" : via;
}

function stateOf(machine: Machine | undefined): string {
  if (!machine) return "missing";
  return machine.host_status === "unreachable" ? "unreachable" : (machine.state ?? "unknown");
}

function problems({ name, machine, wanted }: PopSeen, state: string, told: Told): string[] {
  const { health, reason, lease } = told;
  if (!machine) return [missing(name, told.state)];
  const found: string[] = [];
  if (!wanted && !told.unread)
    found.push(`${name}: runs, but the stack file has no such PoP. The next pulumi up removes it.`);
  if (state === "unreachable")
    return [
      ...found,
      `${name}: its host does not answer. See https://status.flyio.net; nothing can be changed there until it is back. If it stays away: npx fly-pops replace ${name}`,
    ];
  if (lease) return [...found, `${name} is being ${deed(lease)} (lease until ${clockText(lease.until)})`];
  if (state !== "started")
    found.push(
      `${name}: machine ${machine.id} is ${state}. Start it: npx fly-pops start ${name}. What it said: npx fly-pops logs ${name}`,
    );
  if (machine.cordoned)
    found.push(
      `${name}: cordoned, Fly Proxy sends it no visitors. Route it: npx fly-pops undrain ${name}, or npx pulumi up --refresh`,
    );
  if (state === "started")
    for (const check of checksOf(machine).filter(({ status }) => status !== "passing"))
      found.push(`${name}: check ${check.name} is ${check.status}, ${short(check.output)}`);
  for (const [part, { status, reason: why }] of Object.entries(health?.parts ?? {}).toSorted(([a], [b]) =>
    a < b ? -1 : 1,
  ))
    if (status !== "ok") found.push(`${name}: ${part} is ${status}${why ? `, ${short(why, longestReason)}` : ""}`);
  if (reason !== undefined) found.push(`${name}: its health could not be asked, ${reason}`);
  return found;
}

function missing(name: string, state: Under | undefined): string {
  switch (state) {
    case "pending":
      return `${name}: a deployment has begun to make it. If none is under way, go on with it: npx pulumi up --refresh`;
    case "known":
      return `${name}: in the state, gone from Fly. Make it again: npx pulumi up --refresh`;
    case "unknown":
      return `${name}: wanted by the stack file, never deployed. Deploy it: npx pulumi up`;
    case undefined:
      return `${name}: wanted by the stack file, not there. Deploy it: npx pulumi up --refresh`;
    default:
      return state satisfies never;
  }
}

/** Ours say what they do; anybody else is named. */
function deed({ description, owner }: Lease): string {
  const [, what] = /^fly-pops: (\w+) of /.exec(description ?? "") ?? [];
  const verbs: Record<string, string> = { update: "updated", start: "started", restart: "restarted", drain: "drained" };
  return verbs[what ?? ""] ?? `changed by ${owner ?? "somebody"}${description ? `, "${description}"` : ""}`;
}

/** Hours to seconds of RFC 3339, which is UTC. */
export const clockText = (time: string): string => `${time.slice(11, 19)} UTC`;

/** Several faults of a part, each with what to do. */
const longestReason = 1000;

const short = (text: string | undefined, longest = 200): string =>
  (text ?? "no output").replaceAll(/\s+/g, " ").trim().slice(0, longest) || "no output";
