/** The name server of one private network, as a container of ours on it: main.go says what it does, this what local Fly has to do with it. */
import type { Duplex } from "node:stream";
import type Docker from "dockerode";
import type { Closable } from "../../lib/keep-running.ts";
import { startAttached } from "../docker/attached.ts";
import { labels, removeContainer } from "../docker/engine.ts";
import { buildImage, projectBuild } from "../docker/image.ts";
import { frames } from "../docker/output.ts";

const sources = ["image/build/*", "local/resolver/{boot,go.mod,*.go}"];

/** Answers a DNS message, or says "elsewhere" for names that the engine's own servers answer. Undefined: no answer. */
type AnswerQuestion = (message: Buffer, from: { address: string; tcp: boolean }) => Buffer | "elsewhere" | undefined;

export interface ResolverOptions {
  docker: Docker;
  stack: string;
  /** Name of the private network, as the engine knows it. */
  network: string;
  /** Its address there, and the one by IPv4. */
  address: string;
  ipv4: string;
  /** Network over which the engine's own name server is reached: the private one leads nowhere. */
  outward: string;
  image: string;
  answer: AnswerQuestion;
  /** It ended, and was not asked to. */
  ended: () => void;
}

/** Without a target. */
export const resolverTag = projectBuild("resolver", []).tag;

export const resolverBuild = (target?: string) => projectBuild("resolver", sources, target);

/** @returns the image's id. `target`: stage of the Dockerfile, for tests. */
export const resolverImage = (docker: Docker, log: (line: string) => void, target?: string): Promise<string> =>
  buildImage(docker, { ...resolverBuild(target), log });

export function startResolver(options: ResolverOptions): Promise<Closable> {
  const { docker, stack, network, address, ipv4, outward, image, ended } = options;
  return startAttached({
    docker,
    stack,
    name: `${network}-resolver`,
    role: "resolver",
    image,
    command: [ipv4],
    network,
    addresses: { IPv4Address: ipv4, IPv6Address: address },
    outward,
    follow: (stream, ready) => relay(stream, options, ready),
    ended,
  });
}

/**
 * Routes in a machine's own network, to the name server at fdaa::3 above all, by a container that is there for a moment. Each is given as `ip` takes it.
 * One that fails keeps no other from being made.
 */
export async function addRoutes(options: {
  docker: Docker;
  stack: string;
  image: string;
  container: string;
  routes: string[][];
}) {
  const { docker, stack, image, container, routes } = options;
  const helper = await docker.createContainer({
    Image: image,
    Entrypoint: [
      "/bin/sh",
      "-c",
      `failed=0; ${routes.map((it) => `ip ${it.join(" ")} || failed=1`).join("; ")}; exit $failed`,
    ],
    Labels: { [labels.stack]: stack, [labels.role]: "route" },
    HostConfig: {
      NetworkMode: `container:${container}`,
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      CapAdd: ["NET_ADMIN"],
      SecurityOpt: ["no-new-privileges"],
    },
  });
  try {
    await helper.start();
    const { StatusCode } = (await helper.wait()) as { StatusCode: number };
    if (StatusCode !== 0) throw new Error(`ip ended with ${StatusCode}`);
  } finally {
    await removeContainer(docker, helper.id);
  }
}

const readyLine = "resolver: ready";

/** Answers until the stream ends. Returns what the program said of itself, but for being ready. */
async function relay(stream: Duplex, { answer, address }: ResolverOptions, ready: () => void): Promise<string> {
  let said = "";
  let rest: Buffer = Buffer.alloc(0);
  try {
    for await (const frame of frames(stream)) {
      if (frame.stream === "stderr") {
        const text = frame.bytes.toString();
        if (text.includes(readyLine)) ready();
        else said += text;
        continue;
      }
      rest = Buffer.concat([rest, frame.bytes]);
      for (let end = endOf(rest); rest.length >= end; end = endOf(rest)) {
        answerOne(stream, rest.subarray(4, end), answer, address);
        rest = rest.subarray(end);
      }
    }
  } catch {
    // The engine has let go of it.
  }
  return said.trim();
}

const endOf = (bytes: Buffer): number => (bytes.length < 4 ? Number.POSITIVE_INFINITY : 4 + bytes.readUInt32BE(0));

/** The frame's layout is main.go's. A client on IPv4, as the engine is for a machine, counts as a machine of the network: `here`. */
function answerOne(stream: Duplex, frame: Buffer, answer: AnswerQuestion, here: string): void {
  const asker = addressOf(frame.subarray(5, 21));
  const address = asker.startsWith(mapped) ? here : asker;
  const message = answer(frame.subarray(21), { address, tcp: frame[4] === 1 });
  if (message === undefined) return;
  const body = message === "elsewhere" ? Buffer.alloc(0) : message;
  const head = Buffer.alloc(8);
  head.writeUInt32BE(4 + body.length, 0);
  frame.copy(head, 4, 0, 4);
  stream.write(Buffer.concat([head, body]));
}

/** How an address of IPv4 begins as one of IPv6. */
const mapped = "0:0:0:0:0:ffff:";

/** As text, in eight groups. */
const addressOf = (bytes: Buffer): string =>
  Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(2 * at).toString(16)).join(":");
