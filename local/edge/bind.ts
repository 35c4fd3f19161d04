/**
 * Where a public address is served on this machine. Local Fly's anycast addresses are documentation addresses that no interface has,
 * so IPv4 ones live on 127.0.0.1 and IPv6 ones on ::1, each public port on a port of its own.
 */
import { isIPv6 } from "node:net";
import type { Listener } from "./routes.ts";

export interface LocalAddress {
  host: string;
  /** 0: any free one. */
  port: number;
}

/** Asked once for each listener when it opens, again after it was closed. */
export type Bind = (listener: Listener) => LocalAddress;

/**
 * The ordinary mapping: the first app to ask for a public port in `preferred` gets the local port named there, once for IPv4 and once for
 * IPv6, and keeps it; everything else gets a free port.
 * @param preferred public port -> local port, e.g. `{ 80: 8080, 443: 8443 }`
 */
export function loopback(preferred: Record<number, number>): Bind {
  const owners = new Map<string, string>();
  return ({ app, ip, port }) => {
    const host = isIPv6(ip) ? "::1" : "127.0.0.1";
    const wanted = preferred[port];
    if (wanted === undefined) return { host, port: 0 };
    const slot = `${host} ${wanted}`;
    const owner = owners.get(slot) ?? `${app} ${ip}`;
    owners.set(slot, owner);
    return { host, port: owner === `${app} ${ip}` ? wanted : 0 };
  };
}
