/** Small programs of ours in containers that local Fly talks to by their standard streams. They keep nothing, and end with the connection to local Fly. */
import type { Duplex } from "node:stream";
import type Docker from "dockerode";
import { containersOf, labels, removeContainer } from "./engine.ts";

export interface AttachedOptions {
  docker: Docker;
  stack: string;
  name: string;
  /** Value of our label. */
  role: string;
  image: string;
  command: string[];
  network: string;
  /** Its addresses there. */
  addresses: { IPv4Address: string; IPv6Address?: string };
  /** A second network. */
  outward?: string;
  /** A port of it, published on one of 127.0.0.1 that the engine chooses. */
  publish?: number;
  /** Follows what it says, calls `ready` once it says so, and resolves with its other words when it has ended. */
  follow: (stream: Duplex, ready: () => void) => Promise<string>;
  /** It was ready, ended, and was not asked to. */
  ended: () => void;
}

export interface Attached {
  /** Port on 127.0.0.1 of the one that is published. */
  hostPort: number | undefined;
  close(): Promise<void>;
}

/** Started afresh each time. Resolves when it is ready. */
export async function startAttached(options: AttachedOptions): Promise<Attached> {
  const { docker, stack, name, role, network, addresses, outward, publish } = options;
  for (const { Id, Names } of await containersOf(docker, stack, `${labels.role}=${role}`))
    if (Names.includes(`/${name}`)) await removeContainer(docker, Id);
  const port = `${publish}/tcp`;
  const container = await docker.createContainer({
    name,
    Image: options.image,
    Cmd: options.command,
    Labels: { [labels.stack]: stack, [labels.role]: role },
    // Its standard input ends when local Fly goes, however that ends, and it with it.
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    ...(publish !== undefined && { ExposedPorts: { [port]: {} } }),
    HostConfig: {
      AutoRemove: true,
      NetworkMode: network,
      ...(publish !== undefined && { PortBindings: { [port]: [{ HostIp: "127.0.0.1", HostPort: "0" }] } }),
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      CapAdd: ["NET_ADMIN", "NET_BIND_SERVICE"],
      SecurityOpt: ["no-new-privileges"],
      Memory: 32 * 1024 * 1024,
      LogConfig: { Type: "json-file", Config: { "max-size": "1m", "max-file": "1" } },
    },
    NetworkingConfig: { EndpointsConfig: { [network]: { IPAMConfig: addresses } } },
  });
  /** We ended it, or its end is reported elsewhere. */
  let expected = true;
  try {
    if (outward !== undefined) await docker.getNetwork(outward).connect({ Container: container.id });
    const stream = (await container.attach({
      stream: true,
      hijack: true,
      stdin: true,
      stdout: true,
      stderr: true,
    })) as unknown as Duplex;
    stream.on("error", () => {}); // its end reports it
    const ready = Promise.withResolvers<void>();
    let failure: Error | undefined;
    const over = options.follow(stream, ready.resolve).then((said) => {
      failure = new Error(`it ended${said === "" ? "" : `, and said: ${said}`}`);
      ready.reject(failure);
      if (!expected) options.ended();
    });
    ready.promise.catch(() => {});
    await container.start();
    await ready.promise;
    const { NetworkSettings } = await container.inspect();
    if (failure) throw failure; // it may have failed in between
    expected = false;
    const published = NetworkSettings.Ports[port]?.[0]?.HostPort;
    return {
      hostPort: published === undefined ? undefined : Number(published),
      async close() {
        expected = true;
        stream.destroy();
        await removeContainer(docker, container.id);
        await over;
      },
    };
  } catch (error) {
    await removeContainer(docker, container.id).catch(() => {}); // the first failure is the one to tell
    throw error;
  }
}
