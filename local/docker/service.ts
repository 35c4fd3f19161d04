/** A container of local Fly's own that shall run, such as the registry or the homelab: started once, found again by every later start. */
import { createHash } from "node:crypto";
import type Docker from "dockerode";
import { containersOf, engineReason, engineWords, labels, removeContainer } from "./engine.ts";

export interface Service {
  /** What it is to the stack, one of each: "registry", "homelab". */
  role: string;
  /** Image id. */
  image: string;
  /** Arguments of its entrypoint. Absent: those of the image. */
  command?: string[];
  /** Name of a network, and how containers on it find this one. Absent: the engine's default network. */
  network?: { name: string; alias: string };
  /** Published on 127.0.0.1. `host` 0: a port the engine chooses. `advice`: what to do when it is taken. */
  publish?: { port: number; host: number; advice: string };
  /** Named volume at a path of the container; belongs to the stack. */
  volume?: { name: string; path: string };
  /** Directories it may write that last until it ends; the rest of it is read-only. */
  scratch?: string[];
  /** What it may do to its own network, by the names of Linux's capabilities. Absent: nothing. */
  capabilities?: string[];
  /** Devices of the engine's host, by path. */
  devices?: string[];
  /** Absent: all that the engine has. */
  memoryMb?: number;
}

export interface RunningService {
  id: string;
  /** Where `publish.port` is reached on this machine. */
  hostPort: number | undefined;
}

/** Starts it, unless one made from the same values runs already. Another one of its role is replaced. */
export async function ensureService(docker: Docker, stack: string, service: Service): Promise<RunningService> {
  const { role, image } = service;
  const inputs = createHash("sha256").update(JSON.stringify(service)).digest("hex").slice(0, 16);
  try {
    for (const { Id, State, Labels } of await containersOf(docker, stack, `${labels.role}=${role}`)) {
      if (State === "running" && Labels[labels.inputs] === inputs) return await running(docker, Id, service);
      await removeContainer(docker, Id);
    }
    const mark = { [labels.stack]: stack, [labels.role]: role };
    if (service.volume) await docker.createVolume({ Name: service.volume.name, Labels: mark });
    const container = await docker.createContainer({
      name: `${stack}-${role}`,
      Image: image,
      ...(service.command === undefined ? {} : { Cmd: service.command }),
      Labels: { ...mark, [labels.inputs]: inputs },
      ExposedPorts: service.publish ? { [`${service.publish.port}/tcp`]: {} } : {},
      HostConfig: {
        Init: true,
        ReadonlyRootfs: true,
        CapDrop: ["ALL"],
        CapAdd: service.capabilities ?? [],
        Devices: (service.devices ?? []).map((path) => ({
          PathOnHost: path,
          PathInContainer: path,
          CgroupPermissions: "rwm",
        })),
        Tmpfs: Object.fromEntries((service.scratch ?? []).map((path) => [path, "mode=0755"])),
        ...(service.memoryMb === undefined ? {} : { Memory: service.memoryMb * 1024 * 1024 }),
        SecurityOpt: ["no-new-privileges"],
        LogConfig: { Type: "json-file", Config: { "max-size": "5m", "max-file": "2" } },
        NetworkMode: service.network?.name ?? "bridge",
        PortBindings: service.publish
          ? { [`${service.publish.port}/tcp`]: [{ HostIp: "127.0.0.1", HostPort: String(service.publish.host) }] }
          : {},
        Mounts: service.volume ? [{ Type: "volume", Source: service.volume.name, Target: service.volume.path }] : [],
      },
      NetworkingConfig: service.network
        ? { EndpointsConfig: { [service.network.name]: { Aliases: [service.network.alias] } } }
        : {},
    });
    try {
      await container.start();
    } catch (error) {
      await removeContainer(docker, container.id);
      throw error;
    }
    return await running(docker, container.id, service);
  } catch (error) {
    throw new Error(`${role}: not started, ${why(error, service)}`, { cause: error });
  }
}

async function running(docker: Docker, id: string, { publish }: Service): Promise<RunningService> {
  if (!publish) return { id, hostPort: undefined };
  const { NetworkSettings } = await docker.getContainer(id).inspect();
  const hostPort = Number(NetworkSettings.Ports[`${publish.port}/tcp`]?.[0]?.HostPort);
  return { id, hostPort };
}

/** The engine's words when the host port of a container is in use, by a container or by any other program. */
const portTaken = /port is already allocated|address already in use/i;

function why(error: unknown, { publish }: Service): string {
  if (publish && portTaken.test(engineWords(error))) {
    return `port ${publish.host} of 127.0.0.1 is taken by another program. ${publish.advice}`;
  }
  return engineReason(error);
}
