/** The services behind the PoPs of the local stack, as one container. It is started or found, gets the hosts of the sites, and is waited for. */
import type { Readable } from "node:stream";
import { setTimeout } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import type Docker from "dockerode";
import { systemClock } from "../../lib/clock.ts";
import { ensureNetwork, removeContainer } from "../docker/engine.ts";
import { lines } from "../docker/output.ts";
import { ensureService } from "../docker/service.ts";
import { execIn } from "../fly/runners/docker/exec.ts";
import { tunDevice } from "../fly/runners/docker/spec.ts";
import { homelabImage } from "./image.ts";

export interface HomelabOptions {
  docker: Docker;
  /** Id of the stack it belongs to: the value of our label. */
  stack: string;
  /** Bridge network the machines are on, made when missing. It stands for the Internet: headscale is all they reach there. */
  network: string;
  /** Hosts that get a certificate. */
  hosts: string[];
  log: (line: string) => void;
}

export interface Homelab {
  /** Its container. */
  id: string;
  /** headscale's API on this machine, e.g. https://127.0.0.1:49153. Its certificate is of the home's own authority. */
  headscaleUrl: string;
}

/** Names by which machines know what is here; the stack file of the local stack has them too. */
const names = {
  /** headscale, on the network. */
  headscale: "headscale.home.internal",
  /** The home's node, in the tailnet: origin on 8080, vault on 8200. */
  node: "home.tail.internal",
} as const;

export const role = "homelab";

const headscalePort = 8443;
const timeoutMs = 180_000;

/** Resolves when a certificate of each host is in the vault. One that runs already is taken as it is; what it knows outlives it, on a volume. */
export async function startHomelab({ docker, stack, network, hosts, log }: HomelabOptions): Promise<Homelab> {
  const image = await homelabImage({ docker, log });
  await ensureNetwork(docker, stack, network);
  const { id, hostPort } = await ensureService(docker, stack, {
    role,
    image,
    network: { name: network, alias: names.headscale },
    publish: { port: headscalePort, host: 0, advice: "Run again." },
    volume: { name: `${stack}-${role}`, path: "/data" },
    scratch: ["/run", "/tmp"],
    // For the tunnel of its tailnet.
    capabilities: ["NET_ADMIN"],
    devices: [tunDevice],
    memoryMb: 768,
  });
  await tellHosts(docker.getContainer(id), hosts);
  await untilReady(docker, id, hosts, log);
  return { id, headscaleUrl: `https://127.0.0.1:${hostPort}` };
}

/** What a program in it says; throws its words when it fails. */
export async function ask(container: Docker.Container, command: string[], stdin?: string): Promise<string> {
  const done = await execIn(container, command, { timeoutMs: 60_000, stdin, clock: systemClock });
  if (done.exitCode === 0) return done.stdout;
  const said = [done.stderr, done.stdout].map((it) => it.trim()).filter((it) => it !== "");
  throw new Error(`homelab: ${command[0]} ended with ${done.exitCode}: ${said.join("\n")}`);
}

async function tellHosts(container: Docker.Container, hosts: string[]): Promise<void> {
  const replace = "cat > /data/hosts.new && mv /data/hosts.new /data/hosts";
  await ask(container, ["sh", "-c", replace], hosts.map((host) => `${host}\n`).join(""));
}

interface Certificates {
  versions: Record<string, number>;
  failures: string[];
}

async function untilReady(docker: Docker, id: string, hosts: string[], log: (line: string) => void): Promise<void> {
  const container = docker.getContainer(id);
  const deadline = Date.now() + timeoutMs;
  const output = await tellOutput(container, log);
  let seen: Certificates | undefined;
  let missing = hosts;
  try {
    while (Date.now() < deadline) {
      seen = await certificates(container);
      const before = missing.length;
      missing = hosts.filter((host) => seen?.versions[host] === undefined);
      if (missing.length === 0) return;
      if (missing.length < before)
        log(`certificates in the vault: ${hosts.length - missing.length} of ${hosts.length}`);
      if (!(await container.inspect()).State.Running) break;
      await setTimeout(250);
    }
  } finally {
    output.stop();
  }
  const why = seen?.failures.join(" ") || output.last().join("\n  ");
  if (Date.now() < deadline) await removeContainer(docker, id);
  throw new Error(
    `homelab: not ready${Date.now() < deadline ? ", it ended" : ` in ${timeoutMs / 1000} s`}. Its output:\n  ${why}\nRun again, or start from nothing: npm run local -- down`,
  );
}

/** State of the certificates, as their keeper last wrote it; undefined until then. */
async function certificates(container: Docker.Container): Promise<Certificates | undefined> {
  const text = await ask(container, ["cat", "/run/home/certificates.json"]).catch(() => "");
  return text === "" ? undefined : (JSON.parse(text) as Certificates);
}

/** Shows the first words of each of its programs, which say hundreds of lines, and remembers the end of it all. */
async function tellOutput(container: Docker.Container, log: (line: string) => void) {
  const last: string[] = [];
  const heard = new Set<string>();
  const stream = (await container.logs({ follow: true, stdout: true, stderr: true, tail: 5 })) as unknown as Readable;
  const reading = (async () => {
    for await (const raw of lines(stream)) {
      // process-compose sets a terminal's title.
      const line = stripVTControlCharacters(raw);
      const program = /^\[(\w+)\s*\]/.exec(line)?.[1];
      if (program && !heard.has(program)) {
        heard.add(program);
        log(line);
      }
      last.push(line);
      if (last.length > 10) last.shift();
    }
  })();
  reading.catch(() => undefined); // cut off by stop()
  return { stop: () => void stream.destroy(), last: () => last };
}
