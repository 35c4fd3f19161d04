/** What the first page needs of the Internet, beside the edge: a web server at an address, and a certificate authority (ACME). */
import { get } from "node:https";
import { text } from "node:stream/consumers";
import { setTimeout } from "node:timers/promises";
import type Docker from "dockerode";
import { keepWritten, readIfThere } from "../../lib/files.ts";
import { doorAddress } from "../anycast/anycast.ts";
import { containersOf, ensureNetwork, labels, removeContainer } from "../docker/engine.ts";
import { buildImage, projectBuild } from "../docker/image.ts";
import { ensureService, type RunningService } from "../docker/service.ts";
import { ask } from "../homelab/homelab.ts";
import { paths } from "../paths.ts";

/** Names by which PoPs know what is here; the stack file of the local stack has them too. */
export const names = { authority: "authority.example.test", origin: "origin.example.test" } as const;

const sources = ["image/build/*", "local/homelab/origin/*", "local/internet/{authority,pebble.json}"];

/** Of pebble, where its root is asked for. */
const managementPort = 15_000;
const timeoutMs = 20_000;

export interface InternetOptions {
  docker: Docker;
  /** Id of the stack it belongs to: the value of our label. */
  stack: string;
  /** The machines'. */
  network: string;
  log: (line: string) => void;
}

/** Resolves when the authority answers, and its certificate is in the file that the stack file names. What runs already is taken as it is. */
export async function startInternet({ docker, stack, network, log }: InternetOptions): Promise<void> {
  const image = (target: string): Promise<string> =>
    buildImage(docker, { ...projectBuild("internet", sources, target), log });
  await ensureNetwork(docker, stack, network);
  const on = (alias: string) => ({ name: network, alias });
  const origin = async () =>
    ensureService(docker, stack, { role: "origin", image: await image("origin"), network: on(names.origin) });
  const authority = async () =>
    ensureService(docker, stack, {
      role: "authority",
      image: await image("authority"),
      command: [names.authority, await doorAddress(docker, network)],
      network: on(names.authority),
      publish: { port: managementPort, host: 0, advice: "Run again." },
      volume: { name: `${stack}-authority`, path: "/data" },
      scratch: ["/tmp"],
    });
  const [running] = await Promise.all([authority(), origin()]);
  keepWritten(paths.authority, await untilReady(docker, running));
}

/** Returns its own certificate once it answers. One that does not is removed: the next start begins afresh. */
async function untilReady(docker: Docker, { id, hostPort = 0 }: RunningService): Promise<string> {
  const container = docker.getContainer(id);
  const deadline = Date.now() + timeoutMs;
  let failure = "";
  while (Date.now() < deadline) {
    try {
      const ca = await ask(container, ["cat", "/data/own.pem"]);
      await fetchRoot(hostPort, ca);
      return ca;
    } catch (error) {
      failure = (error as Error).message;
    }
    if (!(await container.inspect()).State.Running) break;
    await setTimeout(50);
  }
  await removeContainer(docker, id);
  throw new Error(`authority: not ready, ${failure}. It was removed, run again.`);
}

function fetchRoot(port: number, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const at = {
      host: "127.0.0.1",
      port,
      servername: names.authority,
      path: "/roots/0",
      ca,
      agent: false,
      timeout: 5000,
    };
    const asking = get(at, (answer) => {
      text(answer).then(
        (body) => (answer.statusCode === 200 ? resolve(body) : reject(new Error(`HTTP ${answer.statusCode}`))),
        reject,
      );
    });
    asking.on("timeout", () => asking.destroy(new Error("no answer")));
    asking.on("error", reject);
  });
}

/** PEM of the authority's root; undefined when it does not run, or does not answer yet. */
export async function internetRoot(docker: Docker, stack: string): Promise<string | undefined> {
  const found = await containersOf(docker, stack, `${labels.role}=authority`);
  const running = found.find(({ State }) => State === "running");
  const port = running?.Ports.find(({ PrivatePort }) => PrivatePort === managementPort)?.PublicPort;
  const ca = readIfThere(paths.authority);
  return port && ca ? fetchRoot(port, ca).catch(() => undefined) : undefined;
}
