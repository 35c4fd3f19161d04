/**
 * What a machine becomes on a Docker engine. Pure: one version of a machine in, the container to create out.
 *
 * A Fly machine is a VM: inside, root may do everything to a kernel of its own. A container gets the part of that our programs use, and
 * not `--privileged`, which would hand over the host's devices and the engine's kernel settings:
 * - NET_ADMIN and /dev/net/tun: WireGuard and Tailscale make a network interface.
 * - SYS_ADMIN: secrets are kept in a ramfs the machine mounts itself. AppArmor's profile for Docker forbids every mount, so it is off.
 * - /proc/sys/net is writable: those settings belong to the container's own network. The rest of /proc/sys is the host's and stays read-only.
 *
 * Not modelled: an /etc/resolv.conf that names fdaa::3 (it names the engine, which asks the same server), UDP services, the kernel's own
 * share of the guest's memory, /run as a tmpfs, schedules, a root file system that persists. A shared IPv4 passes raw TCP on, where Fly goes
 * by the name in TLS or HTTP.
 */
import type Docker from "dockerode";
import type { MachineConfig } from "../../../../fly/wire.ts";
import { labels } from "../../../docker/engine.ts";
import type { Instance } from "../../core/runner.ts";

/** Surroundings of a container that are not the machine's own. */
export interface Surroundings {
  stack: string;
  network: string;
  /** Name server of its private network, which the engine asks for names it does not know; undefined when it is on none. */
  nameServer: string | undefined;
  /** Unique among the containers of the engine. */
  containerName: string;
  image: { id: string; entrypoint: string[]; cmd: string[] };
  /** Docker volume at the machine's mount path; undefined when the machine mounts none. */
  volume: string | undefined;
  /** CPUs the engine has: it refuses a limit above. */
  engineCpus: number;
  /** Whether the engine's host has /dev/net/tun. */
  tun: boolean;
}

export function containerOf(instance: Instance, around: Surroundings): Docker.ContainerCreateOptions {
  const { config } = instance;
  const ports = publishedPorts(config).map((port) => `${port}/tcp`);
  const mount = config.mounts?.[0];
  return {
    name: around.containerName,
    Image: around.image.id,
    Hostname: instance.machineId,
    Env: Object.entries({ ...config.env, ...instance.env }).map(([name, value]) => `${name}=${value}`),
    ...commandOf(config.init, around.image),
    Healthcheck: { Test: ["NONE"] }, // an image's own HEALTHCHECK means nothing to Fly
    Labels: {
      [labels.stack]: around.stack,
      [labels.role]: "machine",
      [labels.app]: instance.app,
      [labels.machine]: instance.machineId,
      [labels.version]: instance.version,
      [labels.region]: instance.region,
    },
    ExposedPorts: Object.fromEntries(ports.map((port) => [port, {}])),
    HostConfig: {
      Init: true, // as Fly's: passes signals on and reaps
      ...limits(config, around.engineCpus),
      NetworkMode: around.network,
      ...(around.nameServer === undefined ? {} : { Dns: [around.nameServer] }),
      PortBindings: Object.fromEntries(ports.map((port) => [port, [{ HostIp: "127.0.0.1", HostPort: "0" }]])),
      // The first address does not exist before boot, and programs only bind the name: the wildcard binds what it means.
      ExtraHosts: [
        "fly-global-services:0.0.0.0",
        `fly-local-6pn:${around.nameServer === undefined ? "::" : instance.privateIp}`,
      ],
      // NoCopy: on Fly a fresh volume is empty and hides what the image has at its path; Docker would copy that in.
      Mounts:
        mount && around.volume
          ? [{ Type: "volume", Source: around.volume, Target: mount.path ?? "", VolumeOptions: noCopy }]
          : [],
      CapAdd: ["NET_ADMIN", "SYS_ADMIN"],
      SecurityOpt: ["apparmor=unconfined"],
      Devices: around.tun ? [{ PathOnHost: tunDevice, PathInContainer: tunDevice, CgroupPermissions: "rwm" }] : [],
      ReadonlyPaths: readonlyPaths,
      LogConfig: { Type: "json-file", Config: { "max-size": "10m", "max-file": "2" } },
    },
  };
}

export const tunDevice = "/dev/net/tun";

const noCopy = { NoCopy: true, Labels: {}, DriverConfig: { Name: "local", Options: {} } };

/** Docker's own list with /proc/sys taken apart, so that net is left out. Paths a kernel lacks are passed over. */
const readonlyPaths = [
  ...["bus", "fs", "irq", "sysrq-trigger"].map((name) => `/proc/${name}`),
  ...["abi", "crypto", "debug", "dev", "fs", "kernel", "sunrpc", "user", "vm", "xen"].map(
    (name) => `/proc/sys/${name}`,
  ),
];

const MiB = 1024 * 1024;

/** Fly's guest when a config names none: https://fly.io/docs/machines/api/machines-resource/ */
const defaultGuest = { cpus: 1, memory_mb: 256 };

function limits({ guest, init }: MachineConfig, engineCpus: number) {
  const { cpus = defaultGuest.cpus, memory_mb = defaultGuest.memory_mb } = guest ?? {};
  return {
    Memory: memory_mb * MiB,
    MemorySwap: (memory_mb + (init?.swap_size_mb ?? 0)) * MiB, // Docker's is memory and swap together
    NanoCpus: Math.min(cpus, engineCpus) * 1e9, // a shared CPU counts as a whole one: slower is Fly's, not ours to imitate
  };
}

/** `exec` replaces entrypoint and command, the other two each their own. Docker alone would drop the image's command with its entrypoint. */
export function commandOf(
  init: MachineConfig["init"],
  image: { entrypoint: string[]; cmd: string[] },
): { Entrypoint: string[]; Cmd: string[] } {
  if (init?.exec?.length) return { Entrypoint: init.exec, Cmd: [] };
  return { Entrypoint: init?.entrypoint ?? image.entrypoint, Cmd: init?.cmd ?? image.cmd };
}

/** TCP ports the edge or a check may want to reach, sorted. */
export function publishedPorts(config: MachineConfig): number[] {
  const services = (config.services ?? []).filter(({ protocol }) => protocol !== "udp");
  const checks = [...services.flatMap((service) => service.checks ?? []), ...Object.values(config.checks ?? {})];
  const ports = [...services.map((service) => service.internal_port), ...checks.map((check) => check.port)];
  return [...new Set(ports)].filter((port) => port !== undefined).toSorted((a, b) => a - b);
}

/** Where the engine published the ports of a container. */
export function dialTable(info: Docker.ContainerInspectInfo): Map<number, { host: string; port: number }> {
  const table = new Map<number, { host: string; port: number }>();
  for (const [name, bindings] of Object.entries(info.NetworkSettings.Ports ?? {})) {
    const binding = (bindings as { HostPort: string }[] | null)?.[0];
    if (binding) table.set(Number.parseInt(name, 10), { host: "127.0.0.1", port: Number(binding.HostPort) });
  }
  return table;
}
