/** The homelab and the PoPs of a checkout's local stack, seen from outside: programs run in their containers, processes stopped and started again. */
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:tls";
import type Docker from "dockerode";
import { Fly } from "../../fly/api.ts";
import { ports } from "../../image/ports.ts";
import { systemClock } from "../../lib/clock.ts";
import type { Status } from "../../local/commands/status.ts";
import { containersOf, labels, openDocker } from "../../local/docker/engine.ts";
import { ask, role } from "../../local/homelab/homelab.ts";
import { splitAddress } from "../../local/page/fetch-page.ts";
import { appName } from "../../local/stack/stack-file.ts";
import type { Checkout } from "./checkout.ts";
import type { Health } from "./health.ts";
import { processCompose } from "./process-compose.ts";

export const docker = openDocker();

export interface RunningContainer {
  container: Docker.Container;
  /** Asks it at a port that the engine published on 127.0.0.1. */
  fetch(port: number, path: string): Promise<Response>;
  /** What a program in it says; rejects when it fails. */
  exec(command: string[], stdin?: string): Promise<string>;
  /** Stops or starts one of its processes. */
  process(does: "stop" | "start" | "restart", name: string): Promise<unknown>;
}

/** Label of everything that a checkout's stack has in the engine. */
export const stackOf = (it: Checkout): string =>
  `fly-pops-${createHash("sha256").update(it.dir).digest("hex").slice(0, 6)}`;

/** A client of its local Fly. */
export const flyOf = (it: Checkout): Fly =>
  new Fly({ endpoint: it.daemon().api, token: it.read(".cache/local/token").trim(), clock: systemClock });

/** Id of a PoP's machine. Polls come here: each `npm run local -- status` in its place would be half a second of a processor. */
export async function machineId(it: Checkout, name: string): Promise<string> {
  const machines = await flyOf(it).listMachines(appName());
  const found = machines.find((machine) => machine.name === name && machine.state !== "destroyed");
  if (!found) throw new Error(`no machine ${name}`);
  return found.id;
}

export const homelabContainer = (it: Checkout): Promise<RunningContainer> =>
  findContainer(it, `${labels.role}=${role}`);

export const registryContainer = (it: Checkout): Promise<RunningContainer> =>
  findContainer(it, `${labels.role}=registry`);

export const popContainer = async (it: Checkout, name: string): Promise<RunningContainer> =>
  findContainer(it, `${labels.machine}=${await machineId(it, name)}`);

async function findContainer(it: Checkout, label: string): Promise<RunningContainer> {
  const [found] = await containersOf(docker, stackOf(it), label);
  if (!found) throw new Error(`no container with ${label}`);
  const container = docker.getContainer(found.Id);
  const run = (command: string[], stdin?: string) => ask(container, command, stdin);
  return {
    container,
    fetch: (port, path) =>
      fetch(`http://127.0.0.1:${found.Ports.find(({ PrivatePort }) => PrivatePort === port)?.PublicPort}${path}`),
    exec: run,
    async process(does, name) {
      try {
        await run(processCompose(does, name));
      } catch (error) {
        // On a busy machine it has failed without a word for a process that had stopped all the same.
        const all = JSON.parse(await run(processCompose("list", "-o", "json"))) as {
          name: string;
          is_running: boolean;
        }[];
        if (all.find((it) => it.name === name)?.is_running !== (does !== "stop")) throw error;
      }
    },
  };
}

/** The certificate that a site is served with, by whichever PoP the edge chooses. */
export function servedCertificate({ edge }: Status, host: string): Promise<X509Certificate> {
  const [address, port] = splitAddress(edge.https);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, servername: host, rejectUnauthorized: false }, () => {
      const { raw } = socket.getPeerCertificate();
      socket.destroy();
      resolve(new X509Certificate(raw));
    });
    socket.once("error", reject);
  });
}

export const rootsOf = ({ ca }: Status): string => readFileSync(ca, "utf8");

/** With status 503 it has the same body. */
export async function healthOf(it: Checkout, name: string): Promise<Health> {
  const response = await (await popContainer(it, name)).fetch(ports.health, "/healthz");
  return (await response.json()) as Health;
}
