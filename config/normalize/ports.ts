/** Ports of raw TCP, normalized for the image. */
import type { TcpPort } from "../../image/spec.ts";
import { defaults } from "../defaults.ts";
import { parseSeconds } from "../duration.ts";
import type { StackFile } from "../schema.ts";
import { normalizeEndpoint } from "../validators.ts";
import { access } from "./visitors.ts";

/** By number. */
export const tcpPorts = (ports: NonNullable<StackFile["ports"]>): TcpPort[] =>
  Object.entries(ports)
    .map(([port, it]) => tcpPort(Number(port), it))
    .toSorted((a, b) => a.port - b.port);

function tcpPort(port: number, it: NonNullable<StackFile["ports"]>[string]): TcpPort {
  const total = it.limit?.total ?? defaults.portTotal;
  return {
    port,
    to: targetOf(it, port),
    ...(it.proxyProtocol === "v2" && { proxyProtocol: "v2" }),
    ...(it.access && { access: access(it.access) }),
    limit: { connections: it.limit?.connections ?? Math.min(defaults.portConnections, total), total },
    idleSeconds: parseSeconds(it.idle ?? defaults.portIdle) ?? 0,
  };
}

function targetOf({ to, luggage }: NonNullable<StackFile["ports"]>[string], port: number): TcpPort["to"] {
  if (to !== undefined) return { kind: "host", address: normalizeEndpoint(to) };
  if (luggage !== undefined) return { kind: "luggage", luggage };
  throw new Error(`port ${port} passed the rules but leads nowhere`);
}
