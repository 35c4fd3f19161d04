/** Counters of connections to a PoP's ports and to sites with passThrough. Pure. docs/metrics.md has the metrics' names. */
import type { Sample } from "./metrics.ts";

/** Counters of one port or site. Connections are counted when they end. */
export interface Connections {
  /** Forwarded. */
  served: number;
  /** Refused by a limit, a block or `access`. */
  refused: number;
  /** The target did not respond. */
  failed: number;
  sentBytes: number;
  receivedBytes: number;
}

/** By port, as in `22`, or by host. */
export type ByTarget = ReadonlyMap<string, Connections>;

const noConnections: Connections = { served: 0, refused: 0, failed: 0, sentBytes: 0, receivedBytes: 0 };

const combined = (a: Connections, b: Connections, sign: 1 | -1): Connections => ({
  served: a.served + sign * b.served,
  refused: a.refused + sign * b.refused,
  failed: a.failed + sign * b.failed,
  sentBytes: a.sentBytes + sign * b.sentBytes,
  receivedBytes: a.receivedBytes + sign * b.receivedBytes,
});

/** From samples of `/metrics`. */
export function connectionsIn(samples: readonly Sample[]): ByTarget {
  const found = new Map<string, Connections>();
  for (const { name, labels, value } of samples) {
    const target = /^pop_port_/.test(name) ? labels.port : /^pop_pass_through_/.test(name) ? labels.site : undefined;
    if (target === undefined) continue;
    found.set(target, combined(found.get(target) ?? noConnections, counted(name, labels.result, value), 1));
  }
  return found;
}

function counted(name: string, result: string | undefined, value: number): Connections {
  if (name.endsWith("_sent_bytes_total")) return { ...noConnections, sentBytes: value };
  if (name.endsWith("_received_bytes_total")) return { ...noConnections, receivedBytes: value };
  if (!name.endsWith("_connections_total")) return noConnections;
  if (result === "served" || result === "failed") return { ...noConnections, [result]: value };
  return { ...noConnections, refused: value };
}

/** The increase between two readings of one PoP. Counters restart at 0 with their process. */
export function connectionIncrease(before: ByTarget, after: ByTarget): ByTarget {
  const restarted = [...after].some(([target, { served }]) => served < (before.get(target)?.served ?? 0));
  return new Map(
    [...after].map(([target, now]) => [
      target,
      combined(now, (restarted ? undefined : before.get(target)) ?? noConnections, -1),
    ]),
  );
}

/** Sums over PoPs by target: ports by number, then sites. */
export function sumConnections(all: Iterable<ByTarget>): ByTarget {
  const sums = new Map<string, Connections>();
  for (const one of all)
    for (const [target, it] of one) sums.set(target, combined(sums.get(target) ?? noConnections, it, 1));
  return new Map([...sums].toSorted(([a], [b]) => inOrder(a, b)));
}

const isPort = (target: string): boolean => /^\d+$/.test(target);

function inOrder(a: string, b: string): number {
  if (isPort(a) && isPort(b)) return Number(a) - Number(b);
  if (isPort(a) !== isPort(b)) return isPort(a) ? -1 : 1;
  return a < b ? -1 : 1;
}

/** `port 22`, or the host. */
export const targetText = (target: string): string => (isPort(target) ? `port ${target}` : target);

/** Human-readable bytes: 512 B, 1.5 KB, 20 MB. */
export function bytesText(bytes: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  const at = Math.min(units.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** at;
  return `${at === 0 || value >= 10 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}
