/**
 * Machines as containers. Works with any engine the client reaches, also one in a virtual machine (Docker Desktop): container addresses are
 * never used, every port a service or a check names is published on 127.0.0.1.
 *
 * Restarts are the server's business: a container is never restarted, and kept when it ended, so that its logs can be read, until another
 * version takes its place. Not modelled: sizes of volumes (they are labels), snapshots, suspension that outlives the engine.
 */
import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import type Docker from "dockerode";
import type { Check, ImageRef } from "../../../../fly/wire.ts";
import { type Clock, sleep, systemClock } from "../../../../lib/clock.ts";
import {
  containersOf,
  engineReason,
  engineWords,
  ensureNetwork,
  isMissing,
  labels,
  orMissing,
  removeContainer,
  statusOf,
} from "../../../docker/engine.ts";
import { lines } from "../../../docker/output.ts";
import { groupOf } from "../../core/private-network.ts";
import {
  type ExecResult,
  type Exit,
  type Instance,
  type ProbeResult,
  type Process,
  type Runner,
  RunnerError,
  type VolumeSpec,
} from "../../core/runner.ts";
import { type Watch, watchContainers } from "./events.ts";
import { execIn, processesIn } from "./exec.ts";
import { exitOf } from "./exit.ts";
import { putFiles } from "./files.ts";
import { findImage, pullImage } from "./images.ts";
import { createDockerPrivateNetworks, type DockerPrivateNetworks } from "./private-networks.ts";
import { probe } from "./probe.ts";
import { containerOf, dialTable, tunDevice } from "./spec.ts";
import { createVolume, removeVolume, volumeExists, volumeName } from "./volumes.ts";

export interface DockerRunnerOptions {
  docker: Docker;
  /** Value of the label on everything it makes. Two runners with one stack would fight over it. */
  stack: string;
  /** Bridge network the machines are on, made when missing. */
  network: string;
  /** Whether machines get a way to anycast addresses, to where the door of local/anycast is. Absent: they have none. */
  anycast?: boolean;
  log: (line: string) => void;
  /** Absent: the real one. */
  clock?: Clock;
  /** Time between SIGTERM and SIGKILL, milliseconds. Absent: 2000; Fly does not document its own. */
  termGraceMs?: number;
}

/** A container that runs, or is about to. */
interface Running {
  machineId: string;
  containerId: string;
  ports: Map<number, { host: string; port: number }>;
  outOfMemory: boolean;
  suspended: boolean;
  /** Settled when `start` has returned or failed: an exit is not reported before. */
  started: PromiseWithResolvers<void>;
  /** Settled when the exit was reported. */
  gone: PromiseWithResolvers<void>;
}

const defaultTermGraceMs = 2_000;

/** After SIGKILL only a kernel that waits for a disk or a broken engine keeps a process. */
const killTimeoutMs = 30_000;

/** @throws RunnerError "engine" when no engine answers. */
export async function startDockerRunner(options: DockerRunnerOptions): Promise<Runner> {
  const runner = new DockerRunner(options);
  await runner.open();
  return runner;
}

class DockerRunner implements Runner {
  readonly kind = "docker";
  readonly networkGroup: number;
  onExit: (machineId: string, exit: Exit) => void = () => {};
  onQuestion: Runner["onQuestion"] = () => undefined;

  readonly #options: DockerRunnerOptions;
  readonly #docker: Docker;
  readonly #clock: Clock;
  readonly #running = new Map<string, Running>();
  readonly #privateNetworks: DockerPrivateNetworks;
  #watch: Watch | undefined;
  #engineCpus = 1;
  #tun = true;

  constructor(options: DockerRunnerOptions) {
    this.#options = options;
    this.#docker = options.docker;
    this.#clock = options.clock ?? systemClock;
    this.networkGroup = groupOf(options.stack);
    this.#privateNetworks = createDockerPrivateNetworks({
      ...options,
      answer: (message, from) => this.onQuestion(message, from),
    });
  }

  async open(): Promise<void> {
    const { stack, network, log } = this.#options;
    try {
      this.#engineCpus = ((await this.#docker.info()) as { NCPU: number }).NCPU;
      await ensureNetwork(this.#docker, stack, network);
      this.#watch = await watchContainers({
        docker: this.#docker,
        stack,
        clock: this.#clock,
        died: (id, exitCode) => void this.#ended(this.#byContainer(id), { ExitCode: exitCode }),
        outOfMemory: (id) => {
          const running = this.#byContainer(id);
          if (running) running.outOfMemory = true;
        },
        reopened: () => this.#settle(),
        log,
      });
    } catch (error) {
      throw new RunnerError("engine", `docker: ${engineReason(error)}`, { cause: error });
    }
  }

  async close(): Promise<void> {
    this.#watch?.close();
    await this.#privateNetworks.close();
  }

  pull(image: string): Promise<ImageRef & { digest: string }> {
    return pullImage(this.#docker, image);
  }

  async start(instance: Instance): Promise<void> {
    const { machineId, name } = instance;
    try {
      if (this.#running.has(machineId)) throw new Error("it runs already");
      const running = await this.#boot(instance);
      setImmediate(running.started.resolve); // the caller that awaits this call goes first
    } catch (error) {
      throw new RunnerError("start", `machine ${machineId} (${name}): not started, ${engineReason(error)}`, {
        cause: error,
      });
    }
  }

  async #boot(instance: Instance): Promise<Running> {
    const container = await this.#create(instance);
    const running = this.#track(instance.machineId, container.id); // before it starts: it may end at once
    try {
      await this.#startAlone(container, instance.machineId);
      running.ports = dialTable(await container.inspect());
      await Promise.all([
        this.#removeContainers(instance.machineId, container.id),
        this.#privateNetworks.of(instance.privateIp).then((it) => it?.route(container.id)),
      ]);
      return running;
    } catch (error) {
      this.#running.delete(instance.machineId);
      running.started.resolve();
      running.gone.resolve();
      await removeContainer(this.#docker, container.id).catch(() => {}); // the first failure is the one to tell
      if (!this.#tun || !engineWords(error).includes(tunDevice)) throw error;
      this.#options.log(
        `docker: the engine has no ${tunDevice}, machines go without. Programs that need it say so themselves.`,
      );
      this.#tun = false; // only a start tells, and an engine does not grow one
      return this.#boot(instance);
    }
  }

  /** Created, files in place. Leaves nothing behind when it fails. */
  async #create(instance: Instance): Promise<Docker.Container> {
    const { stack, network } = this.#options;
    const { config, app, name } = instance;
    const image = await this.#image(config.image ?? "");
    const privateNetwork = await this.#privateNetworks.of(instance.privateIp);
    const container = await this.#docker.createContainer(
      containerOf(instance, {
        stack,
        network,
        nameServer: privateNetwork?.nameServer,
        // Unique, as the version before keeps its own until this one runs; the rest is for people who read `docker ps`.
        containerName: `${app}_${name}_${randomBytes(3).toString("hex")}`.replace(/[^\w.-]/g, "-"),
        image: { id: image.Id, entrypoint: [image.Config.Entrypoint ?? []].flat(), cmd: image.Config.Cmd ?? [] },
        volume: await this.#mounted(config.mounts?.[0]?.volume),
        engineCpus: this.#engineCpus,
        tun: this.#tun,
      }),
    );
    try {
      await privateNetwork?.connect(container.id, instance.privateIp);
      await putFiles(container, instance.files);
      return container;
    } catch (error) {
      await removeContainer(this.#docker, container.id).catch(() => {});
      throw error;
    }
  }

  /** Pulled again when the engine was cleaned up since. */
  async #image(reference: string): Promise<Docker.ImageInspectInfo> {
    const here = await findImage(this.#docker, reference);
    if (here) return here;
    await pullImage(this.#docker, reference).catch((error: Error) => {
      throw new Error(`image ${reference} is not in the engine, and cannot be pulled: ${error.message}`, {
        cause: error,
      });
    });
    const pulled = await findImage(this.#docker, reference);
    if (!pulled) throw new Error(`image ${reference} was pulled, and is not in the engine`);
    return pulled;
  }

  /** Docker would make a volume it does not know, without our labels and with nothing on it. */
  async #mounted(volumeId: string | undefined): Promise<string | undefined> {
    const { stack } = this.#options;
    if (volumeId === undefined) return undefined;
    if (!(await volumeExists(this.#docker, stack, volumeId))) throw new Error(`volume ${volumeId} does not exist`);
    return volumeName(stack, volumeId);
  }

  async stop(machineId: string, { signal, timeoutMs }: { signal: string; timeoutMs: number }): Promise<void> {
    const running = this.#running.get(machineId);
    if (!running) return;
    await running.started.promise; // before that there is nothing a signal would reach
    const { termGraceMs = defaultTermGraceMs } = this.#options;
    const kill = ["SIGKILL", killTimeoutMs] as const;
    const steps = [[signal, timeoutMs], ["SIGTERM", termGraceMs], kill] as const;
    // A suspended machine is not woken to be asked: its memory is dropped.
    for (const [name, timeoutMs] of running.suspended ? [kill] : steps) {
      await this.#kill(running, name);
      if (await this.#within(running.gone.promise, timeoutMs)) return;
    }
    throw new RunnerError(
      "engine",
      `machine ${machineId}: still there ${killTimeoutMs / 1000} s after SIGKILL. Look at "docker ps".`,
    );
  }

  async suspend(machineId: string): Promise<void> {
    await this.#on(machineId, "suspend", async (container, running) => {
      await this.#pause(container);
      running.suspended = true;
    });
  }

  /** With cgroup v1 the kernel may not catch a machine that forks just then ("unable to freeze"): the next try does. */
  async #pause(container: Docker.Container): Promise<void> {
    for (let triesLeft = 4; ; triesLeft--) {
      try {
        await container.pause();
        return;
      } catch (error) {
        if (triesLeft === 0 || !engineWords(error).includes("unable to freeze")) throw error;
        await sleep(this.#clock, 100);
      }
    }
  }

  async resume(machineId: string): Promise<void> {
    await this.#on(machineId, "resume", async (container, running) => {
      await container.unpause();
      running.suspended = false;
    });
  }

  async signal(machineId: string, signal: string): Promise<void> {
    await this.#on(machineId, "signal", (container) => container.kill({ signal }));
  }

  exec(machineId: string, command: string[], how: { timeoutMs: number; stdin?: string }): Promise<ExecResult> {
    return this.#on(machineId, "exec", (container) => execIn(container, command, { ...how, clock: this.#clock }));
  }

  ps(machineId: string): Promise<Process[]> {
    return this.#on(machineId, "ps", processesIn);
  }

  async probe(machineId: string, check: Check): Promise<ProbeResult> {
    const at = this.dial(machineId, check.port ?? 0);
    return at
      ? probe(check, at)
      : { passing: false, output: `port ${check.port} is not reached, the machine does not run` };
  }

  dial(machineId: string, port: number): { host: string; port: number } | undefined {
    return this.#running.get(machineId)?.ports.get(port);
  }

  async *logs(
    machineId: string,
    { follow, timestamps = false, since }: Parameters<Runner["logs"]>[1],
  ): AsyncIterable<string> {
    const [last] = (await this.#containers(machineId)).toSorted((a, b) => b.Created - a.Created);
    const id = this.#running.get(machineId)?.containerId ?? last?.Id;
    if (id === undefined) return;
    const container = this.#docker.getContainer(id);
    const what = { stdout: true, stderr: true, timestamps, ...(since === undefined ? {} : { since }) };
    // dockerode answers with a stream only to `follow: true`.
    const output = follow
      ? await container.logs({ ...what, follow: true })
      : Readable.from(await container.logs({ ...what, follow: false }));
    yield* lines(output as Readable);
  }

  async remove(machineId: string): Promise<void> {
    const running = this.#running.get(machineId);
    if (running) {
      await running.started.promise;
      await this.#kill(running, "SIGKILL");
      await this.#within(running.gone.promise, killTimeoutMs);
    }
    await this.#removeContainers(machineId);
  }

  async createVolume(volume: VolumeSpec): Promise<void> {
    await this.#engine(`volume ${volume.id}: not created`, () =>
      createVolume(this.#docker, this.#options.stack, volume),
    );
  }

  /** Docker's volumes have no size: there is nothing to do. */
  async extendVolume(): Promise<void> {}

  async removeVolume(volumeId: string): Promise<void> {
    await this.#engine(`volume ${volumeId}: not removed`, () =>
      removeVolume(this.#docker, this.#options.stack, volumeId),
    );
  }

  async reconcile(known: Instance[]): Promise<{ running: string[] }> {
    return this.#engine("machines of an earlier run: not found again", async () => {
      const versions = new Map(known.map(({ machineId, version }) => [machineId, version]));
      await Promise.all(known.map(({ privateIp }) => this.#privateNetworks.of(privateIp)));
      for (const { Id, Labels, State } of await this.#containers()) {
        const machineId = Labels[labels.machine] ?? "";
        const alive = State === "running" || State === "paused";
        const expected = versions.get(machineId) === Labels[labels.version];
        if (alive && expected && !this.#running.has(machineId)) {
          const running = this.#track(machineId, Id);
          running.ports = dialTable(await this.#docker.getContainer(Id).inspect());
          running.suspended = State === "paused";
          running.started.resolve();
        } else if (alive ? this.#running.get(machineId)?.containerId !== Id : !versions.has(machineId)) {
          await removeContainer(this.#docker, Id);
        }
      }
      await this.#settle(); // one may have ended between the list and its tracking
      return { running: [...this.#running.keys()] };
    });
  }

  #track(machineId: string, containerId: string): Running {
    const running: Running = {
      machineId,
      containerId,
      ports: new Map(),
      outOfMemory: false,
      suspended: false,
      started: Promise.withResolvers(),
      gone: Promise.withResolvers(),
    };
    this.#running.set(machineId, running);
    return running;
  }

  /** Reports an exit once: a second call finds the machine forgotten. */
  async #ended(running: Running | undefined, reported?: { ExitCode: number }): Promise<void> {
    if (!running) return;
    await running.started.promise;
    const info = await orMissing(this.#docker.getContainer(running.containerId).inspect()).catch(() => undefined);
    if (this.#running.get(running.machineId) !== running) return;
    this.#running.delete(running.machineId);
    this.onExit(running.machineId, exitOf(info?.State ?? reported, running.outOfMemory, this.#clock.now()));
    running.gone.resolve();
  }

  /** Ends whose events were missed. */
  async #settle(): Promise<void> {
    const states = new Map((await this.#containers()).map(({ Id, State }) => [Id, State]));
    const over = [...this.#running.values()].filter(({ containerId }) => {
      const state = states.get(containerId);
      return state === undefined || state === "exited" || state === "dead";
    });
    await Promise.all(over.map((running) => this.#ended(running)));
  }

  #byContainer(id: string): Running | undefined {
    return [...this.#running.values()].find(({ containerId }) => containerId === id);
  }

  /** One that ended in the meantime is what was wanted. */
  async #kill({ machineId, containerId }: Running, signal: string): Promise<void> {
    try {
      await this.#docker.getContainer(containerId).kill({ signal });
    } catch (error) {
      if (isMissing(error) || statusOf(error) === 409) return;
      throw new RunnerError("engine", `machine ${machineId}: not stopped, ${engineReason(error)}`, { cause: error });
    }
  }

  async #within(done: Promise<void>, ms: number): Promise<boolean> {
    const over = new AbortController();
    const late = sleep(this.#clock, ms, over.signal).then(
      () => false,
      () => false,
    );
    const inTime = await Promise.race([done.then(() => true), late]);
    over.abort();
    return inTime;
  }

  async #on<T>(
    machineId: string,
    verb: string,
    act: (container: Docker.Container, running: Running) => Promise<T>,
  ): Promise<T> {
    const running = this.#running.get(machineId);
    if (!running) throw new RunnerError("not-running", `machine ${machineId}: no ${verb}, it does not run.`);
    return this.#engine(`machine ${machineId}: ${verb} failed`, () =>
      act(this.#docker.getContainer(running.containerId), running),
    );
  }

  async #engine<T>(what: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      if (error instanceof RunnerError) throw error;
      if (/is not running$/.test(engineWords(error))) throw new RunnerError("not-running", `${what}, it does not run.`);
      throw new RunnerError("engine", `${what}, ${engineReason(error)}`, { cause: error });
    }
  }

  #containers(machineId?: string): Promise<Docker.ContainerInfo[]> {
    const which = machineId === undefined ? labels.machine : `${labels.machine}=${machineId}`;
    return containersOf(this.#docker, this.#options.stack, which);
  }

  /** An earlier container of the machine's has its private address while it runs, as one does that was restarted by hand. */
  async #startAlone(container: Docker.Container, machineId: string): Promise<void> {
    try {
      await container.start();
    } catch (error) {
      if (!/address already in use/i.test(engineWords(error))) throw error;
      await this.#removeContainers(machineId, container.id);
      await container.start();
    }
  }

  async #removeContainers(machineId: string, keep?: string): Promise<void> {
    const old = (await this.#containers(machineId)).filter(({ Id }) => Id !== keep);
    await Promise.all(old.map(({ Id }) => removeContainer(this.#docker, Id)));
  }
}
