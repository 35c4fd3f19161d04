/**
 * Anycast addresses for containers: a container that has all of them, on the machines' network, and passes on to the edge what comes to ports 80 and 443.
 * By it an authority proves names at port 80, and PoPs look at their own names, as they do on Fly. main.go says how connections get from it to local Fly.
 *
 * Not modelled: IPv6, other ports, and the visitor's own address, as all these connections come from here.
 */
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import type Docker from "dockerode";
import { containersOf, labels, lowAddress, removeContainer } from "../docker-engine.ts";
import { buildImage, projectBuild } from "../docker-image.ts";
import { frames } from "../docker-output.ts";
import type { OpenListener } from "../edge/edge.ts";
import { anycastRange } from "../fly/addresses.ts";

const sources = ["image/build/*", "local/anycast/{boot,go.mod,*.go}"];

const visited = [":80", ":443"];
const linkPort = 7000;

/** Connections kept at hand: as many visitors at once need not wait. */
const spareLinks = 8;
const retryMs = 200;

/** @returns the image's id. `target`: stage of the Dockerfile, for tests. */
export const anycastImage = (docker: Docker, log: (line: string) => void, target?: string): Promise<string> =>
  buildImage(docker, { ...projectBuild("anycast", sources, target), log });

/** The door's address on a network of ours, which no other container is given. */
export const doorAddress = (docker: Docker, network: string): Promise<string> => lowAddress(docker, network, 100);

export interface AnycastOptions {
  docker: Docker;
  stack: string;
  /** The machines'. */
  network: string;
  /** What the edge has open now. */
  listeners: () => OpenListener[];
  log: (line: string) => void;
}

/** Started anew each time: it ends with the connection to local Fly, and keeps nothing. Resolves when visitors are let in. */
export async function startAnycast(options: AnycastOptions): Promise<{ close(): Promise<void> }> {
  const { docker, stack, network, log } = options;
  for (const { Id } of await containersOf(docker, stack, `${labels.role}=anycast`)) await removeContainer(docker, Id);
  const image = await anycastImage(docker, log);
  const container = await docker.createContainer({
    name: `${stack}-anycast`,
    Image: image,
    Cmd: [anycastRange, `:${linkPort}`, ...visited],
    Labels: { [labels.stack]: stack, [labels.role]: "anycast" },
    // Its standard input ends when local Fly goes, however that ends, and it with it.
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    ExposedPorts: { [`${linkPort}/tcp`]: {} },
    HostConfig: {
      AutoRemove: true,
      NetworkMode: network,
      PortBindings: { [`${linkPort}/tcp`]: [{ HostIp: "127.0.0.1", HostPort: "0" }] },
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      CapAdd: ["NET_ADMIN", "NET_BIND_SERVICE"],
      SecurityOpt: ["no-new-privileges"],
      Memory: 32 * 1024 * 1024,
      LogConfig: { Type: "json-file", Config: { "max-size": "1m", "max-file": "1" } },
    },
    NetworkingConfig: {
      EndpointsConfig: { [network]: { IPAMConfig: { IPv4Address: await doorAddress(docker, network) } } },
    },
  });
  try {
    const stream = (await container.attach({
      stream: true,
      hijack: true,
      stdin: true,
      stdout: true,
      stderr: true,
    })) as unknown as Duplex;
    stream.on("error", () => {}); // told by its end
    const ready = untilReady(stream);
    await container.start();
    await ready;
    const { NetworkSettings } = await container.inspect();
    const port = Number(NetworkSettings.Ports[`${linkPort}/tcp`]?.[0]?.HostPort);
    const links = keepLinks(port, options);
    return {
      async close() {
        links.close();
        stream.destroy();
        await removeContainer(docker, container.id);
      },
    };
  } catch (error) {
    await removeContainer(docker, container.id).catch(() => {}); // the first failure is the one to tell
    throw error;
  }
}

async function untilReady(stream: Duplex): Promise<void> {
  let said = "";
  const ready = Promise.withResolvers<void>();
  const reading = (async () => {
    for await (const { bytes } of frames(stream)) {
      said = `${said}${bytes}`.slice(-1000);
      if (said.includes("door: ready")) ready.resolve();
    }
  })();
  reading
    .catch(() => undefined) // the engine has let go of it
    .then(() => ready.reject(new Error(`it ended${said === "" ? "" : `, and said: ${said.trim()}`}`)));
  return ready.promise;
}

/** Keeps connections to the door at hand. Each is a visitor's once it has said which address was visited. */
function keepLinks(port: number, { listeners }: Pick<AnycastOptions, "listeners">) {
  const open = new Set<Socket>();
  let closed = false;
  const openOne = (): void => {
    if (closed) return;
    let taken = false;
    const link = connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
    open.add(link);
    link.on("error", () => {}); // told by its end
    link.once("close", () => {
      open.delete(link);
      if (!taken && !closed) setTimeout(openOne, retryMs).unref();
    });
    let head = Buffer.alloc(0);
    const read = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf("\n");
      if (end < 0) return;
      link.off("data", read).off("end", giveUp).pause();
      taken = true;
      openOne();
      serve(link, head.subarray(0, end).toString(), head.subarray(end + 1));
    };
    const giveUp = (): void => void link.destroy();
    link.on("data", read).once("end", giveUp);
  };
  const serve = (link: Socket, address: string, rest: Buffer): void => {
    const at = listenerOf(address, listeners());
    if (at === undefined) return void link.destroy();
    const inward = connect({ ...at.local, allowHalfOpen: true, noDelay: true });
    inward.on("error", () => link.destroy());
    link.once("close", () => inward.destroy());
    inward.once("close", () => link.destroy());
    inward.write(rest);
    link.pipe(inward).pipe(link);
  };
  for (let n = 0; n < spareLinks; n++) openOne();
  return {
    close() {
      closed = true;
      for (const link of open) link.destroy();
    },
  };
}

/** The listener of an address that was visited, such as 203.0.113.1:80; one that is the door's own stands for the first app's. Pure. */
export function listenerOf<Open extends Pick<OpenListener, "ip" | "port">>(
  address: string,
  listeners: readonly Open[],
): Open | undefined {
  const { hostname, port } = new URL(`tcp://${address}`);
  const ofPort = listeners.filter((it) => it.port === Number(port) && !it.ip.includes(":"));
  return ofPort.find(({ ip }) => ip === hostname) ?? ofPort[0];
}
