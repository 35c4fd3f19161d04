/** Which nodes of the tailnet belong to a PoP, and which are stale. Pure. Any node can have any name and tags, so neither is proof. */
import type { Device } from "./tailnet-api.ts";

/** How long a node must be offline to count as stale: a restarting PoP is offline for seconds, a restarting host for minutes. */
export const staleAfterMs = 600_000;
/** Allowed difference between the clocks of two servers. */
const skewMs = 60_000;

/** Nodes that requested this name and have all of these tags. A node without them is not a PoP. */
export const findNodesNamed = (
  devices: readonly Device[],
  { node, tags }: { node: string; tags: string[] },
): Device[] => devices.filter(({ hostname, tags: has }) => hostname === node && tags.every((tag) => has.includes(tag)));

/** Milliseconds since the node was last seen. 0: it is online. Infinity: unknown. */
export const offlineForMs = ({ online, lastSeen }: Device, now: number): number =>
  online ? 0 : lastSeen === undefined ? Number.POSITIVE_INFINITY : now - Date.parse(lastSeen);

/** What is known of the keys with which the node of this stack may have joined. */
export interface JoinTraces {
  keyId: string;
  /** When that key expires, RFC 3339. */
  expires: string;
  /** Lifetime of that key, in seconds. */
  seconds: number;
  /** Device that was already identified as the node of this stack. */
  device?: string | undefined;
}

/**
 * Whether the node joined with this key. headscale says so. Tailscale does not, but a node that joined while the single-use key was valid is the one that used
 * it.
 */
export function joinedWithKey(node: Device, { keyId, expires, seconds, device }: JoinTraces): boolean {
  if (node.id === device) return true;
  if (node.keyId !== undefined) return node.keyId === keyId;
  const end = Date.parse(expires);
  const joined = Date.parse(node.created ?? "");
  return joined >= end - seconds * 1000 - skewMs && joined <= end + skewMs;
}

/**
 * The nodes to remove with their PoP: those that joined with its key. If none is known to have, the one that went offline just now with the PoP, if
 * there is exactly one.
 */
export function findOwnNodes(found: readonly Device[], traces: JoinTraces, now: number): Device[] {
  const proven = found.filter((it) => joinedWithKey(it, traces));
  if (proven.length > 0) return proven;
  const fresh = found.filter((it) => !it.online && offlineForMs(it, now) < staleAfterMs);
  return fresh.length === 1 ? fresh : [];
}
