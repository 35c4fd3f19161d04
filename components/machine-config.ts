/** A PoP as the Machines API wants it. Pure; `Image` is a reference, or the output of a build that is still to come. */
import { contextVariables } from "../image/identity.ts";
import { checkTimeoutSeconds, connectionLimit, stopSeconds } from "../image/limits.ts";
import { ports, tcpPorts } from "../image/ports.ts";
import { acmeVariables } from "../image/render/acme.ts";
import { sealedFiles } from "../image/render/secrets.ts";
import type { TcpPort } from "../image/spec.ts";
import type { MachineConfig, Service } from "../providers/fly/wire.ts";

export interface PopMachine {
  /** PoP name, e.g. cdg-1. */
  name: string;
  cpuKind: "shared" | "performance";
  cpus: number;
  memoryMb: number;
  /** GB of its volume. */
  volumeGb: number;
  /** Public ports of raw TCP beside 80 and 443. Absent: none. */
  ports?: Pick<TcpPort, "port" | "limit">[] | undefined;
}

/** Where the volume goes: certificates, cache and logs all live below it. */
export const mountPath = "/var";

/** Key of the machine's metadata that has the size of its volume. */
export const volumeSizeKey = "fly_pops_volume_gb";

/** The check every PoP must pass before an update goes on to the next one. */
export const healthCheck = "health";

/** What was sealed to the PoP, in base64. */
export type SealedFiles<Text> = { [File in keyof typeof sealedFiles]?: Text };

/** What else a PoP is told. */
export interface PopFacts<Text> {
  /** Digest of the build context the image must have been made from, else the PoP fails its check. Absent: any image will do. */
  context?: string | undefined;
  /** The app's addresses, with spaces between them, for PoPs that look whether a name leads to them. Absent: they need not know. */
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
    // A volume that grew may need a boot before its file system does: as part of the config its size brings one, with all the care of an update.
    metadata: { [volumeSizeKey]: String(pop.volumeGb) },
    services: services(pop),
    // By the API's schema a named check of this kind steers routing, by Fly's guides only those of a service do: it is both, so that either is right.
    checks: { [healthCheck]: { ...check, kind: "readiness" } },
    // Scraped by Fly's own Prometheus, over the private network.
    metrics: { port: ports.health, path: "/metrics" },
    // A PoP has no reason to end by itself: whatever ended it, it comes back.
    restart: { policy: "always" },
    // process-compose ends its processes in order on SIGTERM, and nginx lets go of its last connection.
    stop_config: { signal: "SIGTERM", timeout: `${stopSeconds}s` },
    ...(files.length > 0 && { files }),
  } satisfies Omit<MachineConfig, "image" | "files" | "env"> & {
    image: Text;
    env: Record<string, string | Text>;
    files?: SealedFile<Text>[];
  };
}

/** What Fly asks of a PoP. */
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

/** For root alone, though nobody else could open it. */
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

/** Those of the sites, then the others by number. */
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

/** Raw TCP to nginx, which ends TLS itself; the PROXY v2 header carries the client's address. */
const service = (port: number, internalPort: number, connections: number): Service => ({
  protocol: "tcp",
  internal_port: internalPort,
  ports: [{ port, handlers: ["proxy_proto"], proxy_proto_options: { version: "v2" } }],
  checks: [check],
  // From half of what it can take, others nearby are preferred.
  concurrency: {
    type: "connections",
    soft_limit: Math.floor(connections / 2),
    hard_limit: connections,
  },
  // Never stopped for want of traffic: a PoP that has to boot first is no edge.
  autostop: "off",
  autostart: true,
});
