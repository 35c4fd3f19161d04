/**
 * The registry of local Fly. A container with a port published on loopback, because the engine must reach it too and may live in a virtual
 * machine (Docker Desktop), where 127.0.0.1 is another one; engines trust a registry on 127.0.0.0/8 without TLS.
 */
import { Readable } from "node:stream";
import { setTimeout } from "node:timers/promises";
import type Docker from "dockerode";
import { removeContainer } from "../docker/engine.ts";
import { buildImage, projectBuild } from "../docker/image.ts";
import { lines } from "../docker/output.ts";
import { ensureService } from "../docker/service.ts";

export interface RegistryOptions {
  docker: Docker;
  /** Id of the stack it belongs to: the value of our label. */
  stack: string;
  /** Port on 127.0.0.1. 0: one the engine chooses. */
  port: number;
  log: (line: string) => void;
  /** What to do when the port is taken, e.g. "Choose another with --registry-port.". */
  portAdvice: string;
}

const sources = ["image/build/update-package-lists", "local/registry/config.yml"];
const port = 5000;
const timeoutMs = 20_000;

/** @returns the address to push to, e.g. "127.0.0.1:5000". One that runs and answers is taken as it is; what was pushed outlives it. */
export async function startRegistry(options: RegistryOptions): Promise<{ address: string }> {
  const { docker, stack, log } = options;
  const image = await buildImage(docker, { ...projectBuild("registry", sources), log });
  const service = await ensureService(docker, stack, {
    role: "registry",
    image,
    publish: { port, host: options.port, advice: options.portAdvice },
    volume: { name: `${stack}-registry`, path: "/var/lib/registry" },
  });
  const address = `127.0.0.1:${service.hostPort}`;
  await untilAnswers(address, docker, service.id);
  return { address };
}

/** One that ends, or does not answer in time, is removed, and its first output is reported. The next start begins from nothing. */
async function untilAnswers(address: string, docker: Docker, id: string): Promise<void> {
  const container = docker.getContainer(id);
  const deadline = AbortSignal.timeout(timeoutMs);
  while (!deadline.aborted) {
    const answer = await fetch(`http://${address}/v2/`, { signal: deadline }).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.status === 200) return;
    if (!(await container.inspect()).State.Running) break;
    await setTimeout(50);
  }
  const said = await Array.fromAsync(lines(Readable.from(await container.logs({ stdout: true, stderr: true }))));
  await removeContainer(docker, id);
  throw new Error(
    `registry: no answer from http://${address}/v2/${deadline.aborted ? ` in ${timeoutMs / 1000} s` : ", it ended"}. ` +
      `It said: ${said.slice(0, 3).join(" ") || "nothing"}. It was removed, run again.`,
  );
}
