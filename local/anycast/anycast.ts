/**
 * Anycast addresses for containers: a container that has all of them, on the machines' network, and passes on to the edge what comes to ports 80 and 443.
 * By it an authority proves names at port 80, and PoPs look at their own names, as they do on Fly. main.go says how connections get from it to local Fly.
 *
 * Not modelled: IPv6, other ports, and the visitor's own address, as all these connections come from here.
 */
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import type Docker from "dockerode";
import type { Clock } from "../../lib/clock.ts";
import { type Closable, keepRunning } from "../../lib/keep-running.ts";
import { startAttached } from "../docker/attached.ts";
import { engineReason, lowAddress } from "../docker/engine.ts";
import { buildImage, projectBuild } from "../docker/image.ts";
import { frames } from "../docker/output.ts";
import type { OpenListener } from "../edge/edge.ts";
import { anycastRange } from "./range.ts";

const sources = ["image/build/*", "local/anycast/{boot,go.mod,*.go}"];

const visited = [":80", ":443"];
const linkPort = 7000;

/** Connections kept at hand: as many visitors at once need not wait. */
const spareLinks = 8;
const retryMs = 200;

export const anycastBuild = (target?: string) => projectBuild("anycast", sources, target);

/** @returns the image's id. `target`: stage of the Dockerfile, for tests. */
export const anycastImage = (docker: Docker, log: (line: string) => void, target?: string): Promise<string> =>
  buildImage(docker, { ...anycastBuild(target), log });

/** The door's address on a network of ours, which no other container is given. */
export const doorAddress = (docker: Docker, network: string): Promise<string> => lowAddress(docker, network, 100);

export interface AnycastOptions {
  docker: Docker;
  stack: string;
  /** The machines'. */
  network: string;
  /** What the edge has open now. */
  listeners: () => OpenListener[];
  clock: Clock;
  log: (line: string) => void;
}

/** Resolves when visitors are let in. From then on a door that ends is opened again. */
export const startAnycast = (options: AnycastOptions): Promise<Closable> =>
  keepRunning((ended) => openDoor(options, ended), {
    clock: options.clock,
    ended: () => options.log("anycast: the container with the anycast addresses has ended. It is started again."),
    failed: (error, nextMs) =>
      options.log(
        `anycast: not started again, containers do not reach anycast addresses: ${engineReason(error)} The next try is in ${nextMs / 1000} s.`,
      ),
  });

async function openDoor(
  { docker, stack, network, listeners, log }: AnycastOptions,
  ended: () => void,
): Promise<Closable> {
  const over = new AbortController();
  const door = await startAttached({
    docker,
    stack,
    name: `${stack}-anycast`,
    role: "anycast",
    image: await anycastImage(docker, log),
    command: [anycastRange, `:${linkPort}`, ...visited],
    network,
    addresses: { IPv4Address: await doorAddress(docker, network) },
    publish: linkPort,
    follow,
    ended() {
      over.abort();
      ended();
    },
  });
  keepLinks(door.hostPort ?? 0, listeners, over.signal);
  return {
    async close() {
      over.abort();
      await door.close();
    },
  };
}

async function follow(stream: Duplex, ready: () => void): Promise<string> {
  let said = "";
  try {
    for await (const { bytes } of frames(stream)) {
      said = `${said}${bytes}`.slice(-1000);
      if (said.includes("door: ready")) ready();
    }
  } catch {
    // The engine has let go of it.
  }
  return said.trim();
}

/** Keeps connections to the door at hand until `over`. Each is a visitor's once it has said which address was visited. */
function keepLinks(port: number, listeners: AnycastOptions["listeners"], over: AbortSignal): void {
  const open = new Set<Socket>();
  const openOne = (): void => {
    if (over.aborted) return;
    let taken = false;
    const link = connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
    open.add(link);
    link.on("error", () => {}); // its end reports it
    link.once("close", () => {
      open.delete(link);
      if (!taken && !over.aborted) setTimeout(openOne, retryMs).unref();
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
  over.addEventListener("abort", () => {
    for (const link of open) link.destroy();
  });
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
