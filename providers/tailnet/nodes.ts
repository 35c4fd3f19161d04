/** Whose a node of the tailnet is, and whether it is of use. Pure: names and tags are free for all, so neither proves anything. */
import type { Device } from "./tailnet-api.ts";

/** So long a node must not have been seen before it counts as one of an earlier life: a PoP that restarts is gone for moments, a host for minutes. */
export const staleAfterMs = 600_000;
/** Clocks of two servers are not the same. */
const skewMs = 60_000;

/** Nodes that ask for this name. Whatever has not these tags is no PoP. */
export const findNodesNamed = (
  devices: readonly Device[],
  { node, tags }: { node: string; tags: string[] },
): Device[] => devices.filter(({ hostname, tags: has }) => hostname === node && tags.every((tag) => has.includes(tag)));

/** Milliseconds since it was last seen: 0 when it is online; no end when nobody saw it. */
export const offlineForMs = ({ online, lastSeen }: Device, now: number): number =>
  online ? 0 : lastSeen === undefined ? Number.POSITIVE_INFINITY : now - Date.parse(lastSeen);

/** What is known of the keys by which this stack's node may have joined. */
export interface JoinTraces {
  keyId: string;
  /** When that key ends, RFC 3339. */
  expires: string;
  /** Seconds it was good for. */
  seconds: number;
  /** Device that was found to be this stack's before. */
  device?: string | undefined;
}

/**
 * Joined by this key. A headscale says by which; of Tailscale, that tells it of no device, a node that came while the single-use key was good is the one that used it.
 */
export function joinedWithKey(node: Device, { keyId, expires, seconds, device }: JoinTraces): boolean {
  if (node.id === device) return true;
  if (node.keyId !== undefined) return node.keyId === keyId;
  const end = Date.parse(expires);
  const joined = Date.parse(node.created ?? "");
  return joined >= end - seconds * 1000 - skewMs && joined <= end + skewMs;
}

/**
 * The nodes that go with their PoP: those that joined by its key. Should none be known to have, the one that went offline with the PoP just now,
 * if there is one alone.
 */
export function findOwnNodes(found: readonly Device[], traces: JoinTraces, now: number): Device[] {
  const proven = found.filter((it) => joinedWithKey(it, traces));
  if (proven.length > 0) return proven;
  const fresh = found.filter((it) => !it.online && offlineForMs(it, now) < staleAfterMs);
  return fresh.length === 1 ? fresh : [];
}
