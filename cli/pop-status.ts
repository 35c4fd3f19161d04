/** The status of each PoP as plain data, with its problems. Pure. */

import { checksOf } from "../fly/machine-health.ts";
import type { Machine } from "../fly/wire.ts";
import { byKey } from "../lib/order.ts";
import type { Connections } from "./connections.ts";
import type { DeploymentState, Lease } from "./deployment-state.ts";
import type { PopObservation } from "./fleet.ts";
import type { Health } from "./health.ts";

/** Details of a PoP besides its machine. */
export interface PopDetails {
  health?: Health;
  /** Why its health is unknown. */
  reason?: string;
  lease?: Lease;
  /** For a PoP without a machine: what the state has. Absent: the state could not be read. */
  state?: DeploymentState;
  /** The stack file is invalid, so the PoPs it should have are unknown. */
  isConfigInvalid?: boolean;
}

export interface PopStatus {
  pop: string;
  region: string;
  /** State of the machine, `missing` if there is none, `unreachable` if its host does not respond. */
  state: string;
  /** Out of Fly Proxy's routing. */
  cordoned: boolean;
  machine: string | null;
  /** `instance_id`, ULID. */
  version: string | null;
  /** Reference as configured, pinned by digest. */
  image: string | null;
  /** Digest of the image's build context, as reported by the PoP. null: unknown. */
  context: string | null;
  checks: { passing: number; all: number };
  /** ok, degraded or failing, from `pop health`; `unknown` if it could not be queried; null: no tailnet. */
  tailnet: string | null;
  /** Paths through the tailnet, by origin. `path` is `direct`, `relayed by <DERP region>` or `relayed by a node`; null: no response. */
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
  /** Since the PoP's `pop health` started. `rejected`: by a limit or a block. `hitRate` 0 to 1, null before the first cacheable request. */
  traffic: { requests: number; rejected: number; hitRate: number | null } | null;
  /**
   * By port, as in `22`, and by host of a site with passThrough, since the PoP's `pop health` started. Connections are counted when they end. Empty:
   * there are none.
   */
  connections: Record<string, Connections>;
  /** Hosts in maintenance. null: it was not queried. */
  maintenance: string[] | null;
  /** The lease of its machine. null: none, or not queried. */
  lease: Lease | null;
  /** Problems, as sentences. Empty: healthy. */
  problems: string[];
}

export function buildPopStatus(pop: PopObservation, details: PopDetails): PopStatus {
  const { machine, wanted } = pop;
  const { health } = details;
  const checks = machine ? checksOf(machine) : [];
  const state = stateOf(machine);
  // Checks of a stopped machine are outdated.
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
    tailnet: health ? (health.components.tailnet?.status ?? null) : "unknown",
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
    lease: details.lease ?? null,
    problems: problems(pop, state, details),
  };
}

const secretIdOf = ({ createdAt, endsAt, usesLeft, unknown }: NonNullable<Health["vaultSecretId"]>) => ({
  created: createdAt ?? null,
  ends: endsAt ?? null,
  usesLeft: usesLeft ?? null,
  unknown: unknown ?? null,
});

/** Go's zero time means unknown. */
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

function problems({ name, machine, wanted }: PopObservation, state: string, details: PopDetails): string[] {
  const { health, reason, lease } = details;
  if (!machine) return [missing(name, details.state)];
  const found: string[] = [];
  if (!wanted && !details.isConfigInvalid)
    found.push(`${name}: it is running, but not in the stack file. The next pulumi up removes it.`);
  if (state === "unreachable")
    return [
      ...found,
      `${name}: its host does not respond. See https://status.flyio.net. It cannot be changed until the host is back. If it does not come back: npx fly-pops replace ${name}`,
    ];
  if (lease) return [...found, `${name} is being ${leaseAction(lease)} (lease until ${clockText(lease.until)})`];
  if (state !== "started")
    found.push(
      `${name}: machine ${machine.id} is ${state}. Start it: npx fly-pops start ${name}. See its logs: npx fly-pops logs ${name}`,
    );
  if (machine.cordoned)
    found.push(
      `${name}: cordoned, so Fly Proxy sends it no visitors. Route it again: npx fly-pops undrain ${name}, or npx pulumi up --refresh`,
    );
  if (state === "started")
    for (const check of checksOf(machine).filter(({ status }) => status !== "passing"))
      found.push(`${name}: check ${check.name} is ${check.status}, ${shorten(check.output)}`);
  for (const [component, { status, reason: why }] of Object.entries(health?.components ?? {}).toSorted(byKey))
    if (status !== "ok")
      found.push(`${name}: ${component} is ${status}${why ? `, ${shorten(why, maxReasonLength)}` : ""}`);
  if (reason !== undefined) found.push(`${name}: could not query its health, ${reason}`);
  return found;
}

function missing(name: string, state: DeploymentState | undefined): string {
  switch (state) {
    case "pending":
      return `${name}: a deployment has started to create it. If none is running, continue it: npx pulumi up --refresh`;
    case "known":
      return `${name}: in the state, but missing on Fly. Recreate it: npx pulumi up --refresh`;
    case "unknown":
      return `${name}: in the stack file, but never deployed. Deploy it: npx pulumi up`;
    case undefined:
      return `${name}: in the stack file, but missing on Fly. Deploy it: npx pulumi up --refresh`;
    default:
      return state satisfies never;
  }
}

/** fly-pops' own leases say what they do. For others, the owner is named. */
function leaseAction({ description, owner }: Lease): string {
  const [, what] = /^fly-pops: (\w+) of /.exec(description ?? "") ?? [];
  const verbs: Record<string, string> = { update: "updated", start: "started", restart: "restarted", drain: "drained" };
  return verbs[what ?? ""] ?? `changed by ${owner ?? "an unknown client"}${description ? `, "${description}"` : ""}`;
}

/** The time of day of an RFC 3339 time in UTC. */
export const clockText = (time: string): string => `${time.slice(11, 19)} UTC`;

/** A component may report several problems, each with advice. */
const maxReasonLength = 1000;

const shorten = (text: string | undefined, longest = 200): string =>
  (text ?? "no output").replaceAll(/\s+/g, " ").trim().slice(0, longest) || "no output";
