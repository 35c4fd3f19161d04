/** Machine config of a PoP for the Machines API. Pure. `Text` is a string, or an output that is not known yet. */

import { metadataKeys } from "../fly/metadata.ts";
import type { MachineConfig, Service } from "../fly/wire.ts";
import { contextVariables } from "../image/identity.ts";
import { checkTimeoutSeconds, connectionLimit, stopSeconds } from "../image/limits.ts";
import { ports, tcpPorts } from "../image/ports.ts";
import { acmeVariables } from "../image/render/acme.ts";
import { sealedFiles } from "../image/render/secrets.ts";
import type { TcpPort } from "../image/spec.ts";

export interface PopMachine {
  /** PoP name, e.g. cdg-1. */
  name: string;
  cpuKind: "shared" | "performance";
  cpus: number;
  memoryMb: number;
  /** GB of its volume. */
  volumeGb: number;
  /** Public ports for raw TCP besides 80 and 443. Absent: none. */
  ports?: Pick<TcpPort, "port" | "limit">[] | undefined;
}

/** Mount path of the volume, with certificates, cache and logs. */
export const mountPath = "/var";

/** Name of the check that a PoP must pass before the next one is updated. */
export const healthCheck = "health";

/** Files encrypted to the PoP, in base64. */
export type SealedFiles<Text> = { [File in keyof typeof sealedFiles]?: Text };

/** Further values for the environment of a PoP. */
export interface PopFacts<Text> {
  /** Digest of the build context that the image must have; with another one the PoP fails its check. Absent: not compared. */
  context?: string | undefined;
  /** The app's addresses, separated by spaces, for PoPs that check whether a name resolves to them. Absent: not needed. */
  addresses?: Text | undefined;
}

export function machineConfig<Text>(
  pop: PopMachine,
  image: Text,
  sealed: SealedFiles<Text> = {},
  { context, addresses }: PopFacts<Text> = {},
) {
  const files = sealedMachineFiles(sealed);
  return {
    image,
    guest: guestOf(pop),
    env: {
      POP_NAME: pop.name,
      ...(context !== undefined && { [contextVariables.expected]: context }),
      ...(addresses !== undefined && { [acmeVariables.addresses]: addresses }),
    },
    // A file system may grow only at boot. With the size in the config, a grown volume causes an update, and so a boot.
    metadata: { [metadataKeys.volumeGb]: String(pop.volumeGb) },
    services: services(pop),
    // By the API's schema a named check of kind readiness affects routing, by Fly's guides only the checks of a service do: configure both.
    checks: { [healthCheck]: { ...check, kind: "readiness" } },
    // Scraped by Fly's Prometheus over the private network.
    metrics: { port: ports.health, path: "/metrics" },
    // A PoP never exits on purpose: restart it after any exit.
    restart: { policy: "always" },
    // On SIGTERM process-compose stops its processes in order, and nginx finishes its connections.
    stop_config: { signal: "SIGTERM", timeout: `${stopSeconds}s` },
    ...(files.length > 0 && { files }),
  } satisfies Omit<MachineConfig, "image" | "files" | "env"> & {
    image: Text;
    env: Record<string, string | Text>;
    files?: SealedFile<Text>[];
  };
}

/** Health check of a PoP by Fly. */
const check = {
  type: "http",
  port: ports.health,
  method: "GET",
  path: "/healthz",
  interval: "5s",
  timeout: `${checkTimeoutSeconds}s`,
  grace_period: "20s",
};

type SealedFile<Text> = { guest_path: string; raw_value: Text; mode: number };

/** Readable by root only, although the files are encrypted. */
function sealedMachineFiles<Text>(sealed: SealedFiles<Text>): SealedFile<Text>[] {
  return (["secrets", "tailnet"] as const).flatMap((name) => {
    const text = sealed[name];
    return text === undefined ? [] : [{ guest_path: sealedFiles[name], raw_value: text, mode: 0o400 }];
  });
}

export const guestOf = ({ cpuKind, cpus, memoryMb }: Pick<PopMachine, "cpuKind" | "cpus" | "memoryMb">) => ({
  cpu_kind: cpuKind,
  cpus,
  memory_mb: memoryMb,
});

/** Services for the sites first, then the others by port. */
function services(pop: PopMachine): Service[] {
  const others = [...(pop.ports ?? [])].toSorted((a, b) => a.port - b.port);
  const inside = tcpPorts(others);
  const most = connectionLimit(
    pop,
    others.reduce((sum, { limit }) => sum + limit.total, 0),
  );
  return [
    service(80, ports.http, most),
    service(443, ports.https, most),
    ...others.map(({ port, limit }) => service(port, inside.get(port) ?? 0, limit.total)),
  ];
}

/** Raw TCP to nginx, which terminates TLS. The PROXY v2 header has the client's address. */
const service = (port: number, internalPort: number, connections: number): Service => ({
  protocol: "tcp",
  internal_port: internalPort,
  ports: [{ port, handlers: ["proxy_proto"], proxy_proto_options: { version: "v2" } }],
  checks: [check],
  // Above half of its capacity, Fly Proxy prefers other PoPs nearby.
  concurrency: {
    type: "connections",
    soft_limit: Math.floor(connections / 2),
    hard_limit: connections,
  },
  // Never stopped when idle: a visitor must not wait for a boot.
  autostop: "off",
  autostart: true,
});
