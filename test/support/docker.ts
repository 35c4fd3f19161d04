/** A stack of its own on the real engine for one test file, a runner over it, and the tiny image its machines run. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { afterAll } from "vitest";
import type { MachineConfig } from "../../fly/wire.ts";
import { openDocker, removeEverything } from "../../local/docker/engine.ts";
import { buildImage } from "../../local/docker/image.ts";
import type { Exit, Instance, Runner } from "../../local/fly/core/runner.ts";
import { type DockerRunnerOptions, startDockerRunner } from "../../local/fly/runners/docker/docker-runner.ts";

export const docker = openDocker();

const stacks: string[] = [];
const runners: Runner[] = [];

/** Removes what the file made so far: containers, volumes and networks of its stacks. Runs by itself after the last test. */
export async function cleanUp(): Promise<void> {
  for (const runner of runners.splice(0)) await runner.close();
  for (const stack of stacks.splice(0)) await removeEverything(docker, stack);
}
afterAll(cleanUp);

export function newStack(): string {
  const stack = `fly-pops-test-${randomBytes(4).toString("hex")}`;
  stacks.push(stack);
  return stack;
}

export const tinyTag = "fly-pops-tiny:test";

/** Image id. */
export const tinyImage = (): Promise<string> =>
  buildImage(docker, {
    tag: tinyTag,
    context: join(import.meta.dirname, "..", "e2e", "tiny"),
    files: ["Dockerfile"],
    log: () => {},
  });

export interface Lab {
  runner: Runner;
  /** Every exit reported so far. */
  exits: (Exit & { machineId: string })[];
  /** Resolves with the next exit of a machine that was not asked for yet. */
  exitOf(machineId: string): Promise<Exit>;
  log: string[];
}

export async function lab(stack: string, over: Partial<DockerRunnerOptions> = {}): Promise<Lab> {
  const log: string[] = [];
  const exits: Lab["exits"] = [];
  const waiting = new Map<string, PromiseWithResolvers<Exit>>();
  const reported = (machineId: string) => {
    const promise = waiting.get(machineId) ?? Promise.withResolvers<Exit>();
    waiting.set(machineId, promise);
    return promise;
  };
  await tinyImage();
  const runner = await startDockerRunner({
    docker,
    stack,
    network: stack,
    log: (line) => log.push(line),
    termGraceMs: 300,
    ...over,
  });
  runner.onExit = (machineId, exit) => {
    exits.push({ machineId, ...exit });
    reported(machineId).resolve(exit);
  };
  runners.push(runner);
  const exitOf = async (machineId: string) => {
    const exit = await reported(machineId).promise;
    waiting.delete(machineId);
    return exit;
  };
  return { runner, exits, exitOf, log };
}

let machines = 0;
/** Files run side by side on one engine, and look for containers by their machine alone. */
const file = randomBytes(3).toString("hex");

/** A machine of its own that serves `hello` on port 8080; `over` replaces parts of its config. */
export function instance(over: Partial<MachineConfig> = {}, rest: Partial<Instance> = {}): Instance {
  machines += 1;
  return {
    machineId: `3d8d${file}${machines.toString(16).padStart(4, "0")}`,
    version: "01JX0000000000000000000001",
    name: `cdg-${machines}`,
    app: "my-edge",
    region: "cdg",
    env: {},
    files: [],
    privateIp: "",
    config: {
      image: tinyTag,
      guest: { cpu_kind: "shared", cpus: 1, memory_mb: 64 },
      services: [{ protocol: "tcp", internal_port: 8080, ports: [{ port: 80 }] }],
      ...over,
    },
    ...rest,
  };
}

/** A machine that runs a line of shell. */
export const shell = (script: string, over: Partial<MachineConfig> = {}, rest: Partial<Instance> = {}): Instance =>
  instance({ init: { exec: ["/bin/sh", "-c", script] }, ...over }, rest);

/** Reads a machine's output until a line comes that matches. */
export async function line(runner: Runner, machineId: string, wanted: RegExp): Promise<string> {
  for await (const text of runner.logs(machineId, { follow: true })) if (wanted.test(text)) return text;
  throw new Error(`machine ${machineId} ended without a line like ${wanted}`);
}

/** Starts a machine and waits until its web server answers: a start returns when the program runs, not when it listens. */
export async function startServing(runner: Runner, it: Instance): Promise<void> {
  await runner.start(it);
  while (!(await runner.probe(it.machineId, { type: "http", port: 8080 })).passing) await new Promise(setImmediate);
}
