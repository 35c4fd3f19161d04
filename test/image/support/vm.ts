import { existsSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { resolve } from "node:path";
import { PassThrough } from "node:stream";
import { pack } from "tar-stream";
import { stopSeconds } from "../../../image/limits.ts";
import { ports } from "../../../image/ports.ts";
import { buildImage } from "../../../local/docker/image.ts";
import { until } from "../../support/until.ts";
import { docker, health, type ImageHarness, unframe } from "./pop.ts";

const vmDir = resolve(import.meta.dirname, "../../../image/vm");

const kvm = "/dev/kvm";

/** Ports of image/vm/start. */
const controlPort = 1999;

/** A PoP in a microVM: with a kernel of its own, and limited memory. */
export interface Vm {
  /** What runs it: KVM, or emulation. */
  accelerator: "kvm" | "tcg";
  /** Ports of 127.0.0.1 on which its ports are published. */
  https: number;
  health: number;
  /** Seconds from power-on until it answered its check. */
  readySeconds: number;
  /** Runs a line of shell in it, as root. */
  exec(line: string): Promise<{ code: number; output: string }>;
  /** Sends SIGTERM to its program, like Fly's stop. Resolves with that program's exit code once the machine is off. */
  stop(): Promise<number>;
  /** All of its console output. */
  console(): Promise<string>;
}

export interface VmOptions {
  env?: Record<string, string>;
  /** The machine's files: text by absolute path. */
  files?: Record<string, string>;
  memoryMb?: number;
  /** How long it may take to answer its check; emulated, everything takes ten times as long. */
  bootSeconds?: number;
}

/** Boots an image of the engine under a kernel, and waits for its check. */
export async function bootVm(harness: ImageHarness, image: string, options: VmOptions = {}): Promise<Vm> {
  const { env = {}, files = {}, memoryMb = 256, bootSeconds = 240 } = options;
  const machine = await buildImage(docker, {
    tag: "fly-pops-vm:test",
    context: vmDir,
    files: ["Dockerfile", "init.c", "start"],
    log: () => {},
  });
  const published = [ports.https, ports.health, controlPort];
  const container = await docker.createContainer({
    Image: machine,
    Labels: harness.labels,
    Env: [`MEMORY=${memoryMb}`],
    ExposedPorts: Object.fromEntries(published.map((port) => [`${port}/tcp`, {}])),
    HostConfig: {
      Init: true,
      PortBindings: Object.fromEntries(
        published.map((port) => [`${port}/tcp`, [{ HostIp: "127.0.0.1", HostPort: "" }]]),
      ),
      // Without it qemu emulates.
      ...(existsSync(kvm) && { Devices: [{ PathOnHost: kvm, PathInContainer: kvm, CgroupPermissions: "rwm" }] }),
    },
  });
  const source = await docker.createContainer({ Image: image, Labels: harness.labels });
  await container.putArchive(await source.export(), { path: "/machine/root" });
  const { Config } = await docker.getImage(image).inspect();
  const all = { POP_NAME: "cdg-1", FLY_REGION: "cdg", FLY_APP_NAME: "edge", FLY_MACHINE_ID: "cdg1vm", ...env };
  const entries = pack();
  const add = (path: string, text: string) => entries.entry({ name: `config/${path}` }, text);
  const listed = (texts: string[]) => texts.map((text) => `${text}\0`).join("");
  add("argv", listed([Config.Entrypoint ?? [], Config.Cmd ?? []].flat()));
  add("env", listed([...(Config.Env ?? []), ...Object.entries(all).map(([key, value]) => `${key}=${value}`)]));
  add("stop", String(stopSeconds));
  for (const [path, text] of Object.entries(files)) add(`files${path}`, text);
  entries.finalize();
  await container.putArchive(entries.pipe(new PassThrough()), { path: "/machine" });
  await source.remove({ force: true });

  const began = performance.now();
  await container.start();
  const { NetworkSettings } = await container.inspect();
  const reached = (port: number): number => Number(NetworkSettings.Ports[`${port}/tcp`]?.[0]?.HostPort);
  const consoleText = async () => unframe(await container.logs({ stdout: true, stderr: true })).replaceAll("\r", "");
  const vm = { https: reached(ports.https), health: reached(ports.health) };
  try {
    const seen = await until(
      async () => ({ running: (await container.inspect()).State.Running, health: await health(vm) }),
      ({ running, health }) => !running || health?.report.components.nginx?.status === "ok",
      { seconds: bootSeconds },
    );
    if (!seen.running) throw new Error("it is off");
  } catch (error) {
    throw new Error(`the machine did not answer its check:\n${(await consoleText()).slice(-4000)}`, { cause: error });
  }
  const readySeconds = (performance.now() - began) / 1000;
  const control = await Control.open(reached(controlPort));
  return {
    ...vm,
    accelerator: /^.*vm: kvm/m.test(await consoleText()) ? "kvm" : "tcg",
    readySeconds,
    exec: (line) => control.exec(line),
    async stop() {
      const code = await control.stop();
      await container.wait();
      return code;
    },
    console: consoleText,
  };
}

/** The init's control port: one line per request, one per response, in turn. */
class Control {
  readonly #socket: Socket;
  #held = Buffer.alloc(0);
  #wake: () => void = () => {};

  static async open(port: number): Promise<Control> {
    const socket = connect(port, "127.0.0.1");
    await new Promise<void>((connected, failed) => socket.once("connect", connected).once("error", failed));
    return new Control(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (piece: Buffer) => {
      this.#held = Buffer.concat([this.#held, piece]);
      this.#wake();
    });
    socket.on("error", () => this.#wake()).on("close", () => this.#wake());
  }

  async exec(line: string): Promise<{ code: number; output: string }> {
    this.#socket.write(`exec ${line.replaceAll("\n", ";")}\n`);
    const [code, bytes] = (await this.#line()).split(" ").map(Number);
    return { code: code ?? -1, output: (await this.#take(bytes ?? 0)).toString("utf8") };
  }

  async stop(): Promise<number> {
    this.#socket.write("stop\n");
    const [, code] = /^ended (\d+)$/.exec(await this.#line()) ?? [];
    return Number(code ?? -1);
  }

  async #line(): Promise<string> {
    const end = await this.#until(() => this.#held.indexOf("\n") + 1);
    return (await this.#take(end)).toString("utf8").trimEnd();
  }

  async #take(bytes: number): Promise<Buffer> {
    await this.#until(() => (this.#held.length >= bytes ? 1 : 0));
    const taken = this.#held.subarray(0, bytes);
    this.#held = this.#held.subarray(bytes);
    return taken;
  }

  async #until(ready: () => number): Promise<number> {
    for (;;) {
      const found = ready();
      if (found > 0) return found;
      if (this.#socket.destroyed) throw new Error("the machine's control port was closed");
      await new Promise<void>((woken) => {
        this.#wake = woken;
      });
    }
  }
}
