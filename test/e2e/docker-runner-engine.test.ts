import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { removeEverything } from "../../local/docker/engine.ts";
import { startDockerRunner } from "../../local/fly/runners/docker/docker-runner.ts";
import { docker, instance, lab, newStack, shell, startServing } from "../support/docker.ts";

const stack = newStack();

/**
 * A socket in front of the engine's that can be taken away, as an engine that restarts takes its own. `alias` has the engine look for
 * another device than the one asked for.
 */
class Wire {
  alias: { device: string; instead: string } | undefined;
  readonly path: string;
  #server: Server | undefined;
  #sockets = new Set<Socket>();
  constructor(path: string) {
    this.path = path;
  }

  async up(): Promise<void> {
    // Not in the type package.
    const enginePath = await (docker.modem as unknown as { getSocketPath(): Promise<string> }).getSocketPath();
    this.#server = createServer({ allowHalfOpen: true }, (client) => {
      const engine = connect({ path: enginePath, allowHalfOpen: true });
      for (const [one, other] of [
        [client, engine],
        [engine, client],
      ] as const) {
        this.#sockets.add(one);
        one.on("error", () => other.destroy()).on("close", () => this.#sockets.delete(one));
        one
          .on("data", (bytes: Buffer) => other.write(this.#rename(bytes, other === engine)))
          .on("end", () => other.end());
      }
    });
    this.#server.listen(this.path);
    await once(this.#server, "listening");
  }

  #rename(bytes: Buffer, toEngine: boolean): Buffer {
    if (!this.alias) return bytes;
    const [from, to] = toEngine ? [this.alias.device, this.alias.instead] : [this.alias.instead, this.alias.device];
    return Buffer.from(bytes.toString("latin1").replaceAll(from, to), "latin1");
  }

  async cut(): Promise<void> {
    const closed = new Promise((done) => this.#server?.close(done));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

const dir = await mkdtemp(join(tmpdir(), "fly-pops-wire-"));
const wire = new Wire(join(dir, "docker.sock"));
await wire.up();
afterAll(async () => {
  await wire.cut();
  await rm(dir, { recursive: true });
});
const wired = new Docker({ socketPath: wire.path });

const containerId = async (machineId: string) => {
  const [found] = await docker.listContainers({ all: true, filters: { label: [`fly-pops.machine=${machineId}`] } });
  return found?.Id ?? "";
};

test("an end that the engine did not report, because the connection was cut, is reported once after it is back", async () => {
  const { runner, exits, exitOf, log } = await lab(stack, { docker: wired });
  const [dies, lives] = [shell("trap 'exit 5' TERM; while :; do sleep 0.02; done"), instance()];
  await runner.start(dies);
  await runner.start(lives);
  await wire.cut();
  const container = docker.getContainer(await containerId(dies.machineId));
  await container.kill({ signal: "SIGTERM" });
  await container.wait();
  await wire.up();
  expect(await exitOf(dies.machineId)).toMatchObject({ exitCode: 5 });
  expect(exits).toHaveLength(1);
  expect(log).toEqual([expect.stringContaining("events are interrupted"), "docker: the engine answers again."]);
  await runner.stop(lives.machineId, { signal: "SIGTERM", timeoutMs: 5_000 }); // events flow again
  expect(exits).toHaveLength(2);
});

test("calls while the engine is away fail with a sentence, not with a stack", async () => {
  const { runner } = await lab(stack, { docker: wired });
  const it = instance();
  await wire.cut();
  await expect(runner.start(it)).rejects.toThrow(
    `machine ${it.machineId} (${it.name}): not started, the Docker engine does not answer (ENOENT). Start Docker, then run again.`,
  );
  await expect(runner.pull("fly-pops-tiny:test")).rejects.toMatchObject({ code: "pull" });
  await expect(
    runner.createVolume({ id: "vol_x", name: "x", app: "a", region: "cdg", sizeGb: 1 }),
  ).rejects.toMatchObject({
    code: "engine",
  });
  await wire.up();
});

test("on an engine whose host has no TUN device machines run without it, and the log says so once", async () => {
  const { runner, exitOf, log } = await lab(newStack(), { docker: wired });
  wire.alias = { device: "/dev/net/tun", instead: "/dev/net/not" }; // of the same length
  onTestFinished(() => {
    wire.alias = undefined;
  });
  for (let turn = 0; turn < 2; turn++) {
    const it = shell("ls /dev/net 2>/dev/null; echo ran");
    await runner.start(it);
    expect(await exitOf(it.machineId)).toMatchObject({ exitCode: 0 });
    expect(await Array.fromAsync(runner.logs(it.machineId, { follow: false }))).toEqual(["ran"]);
    expect(
      await docker.listContainers({ all: true, filters: { label: [`fly-pops.machine=${it.machineId}`] } }),
    ).toHaveLength(1);
  }
  expect(log.filter((text) => text.includes("no /dev/net/tun"))).toHaveLength(1);
});

test("without an engine there is no runner, and one sentence says what to do", async () => {
  const absent = new Docker({ socketPath: join(dir, "absent.sock") });
  await expect(startDockerRunner({ docker: absent, stack, network: stack, log: () => {} })).rejects.toMatchObject({
    code: "engine",
    message: "docker: the Docker engine does not answer (ENOENT). Start Docker, then run again.",
  });
});

test("a server that restarts finds its machines running, tells their later ends, and removes what it does not know", async () => {
  const own = newStack();
  const first = await lab(own);
  const [kept, paused, stranger, older, ended] = [instance(), instance(), instance(), instance(), shell("echo words")];
  for (const it of [paused, stranger, older, ended]) await first.runner.start(it);
  await startServing(first.runner, kept);
  await first.runner.suspend(paused.machineId);
  await first.exitOf(ended.machineId);
  await first.runner.createVolume({ id: "vol_kept", name: "x", app: "a", region: "cdg", sizeGb: 1 });
  await first.runner.close();

  const second = await lab(own);
  const known = [kept, paused, ended, { ...older, version: "01JX0000000000000000000002" }];
  const { running } = await second.runner.reconcile(known);
  expect(running.toSorted()).toEqual([kept.machineId, paused.machineId].toSorted());
  const at = second.runner.dial(kept.machineId, 8080);
  expect(await (await fetch(`http://127.0.0.1:${at?.port}/`)).text()).toBe("hello\n");
  expect(await containerId(stranger.machineId)).toBe("");
  expect(await containerId(older.machineId)).toBe(""); // another version than the server knows
  expect(await Array.fromAsync(second.runner.logs(ended.machineId, { follow: false }))).toEqual(["words"]);
  await docker.getVolume(`${own}-vol_kept`).inspect(); // data is never removed by a reconciliation
  await second.runner.stop(kept.machineId, { signal: "SIGTERM", timeoutMs: 5_000 });
  await second.runner.stop(paused.machineId, { signal: "SIGTERM", timeoutMs: 5_000 });
  expect(second.exits.map(({ machineId }) => machineId)).toEqual([kept.machineId, paused.machineId]);
  expect(first.exits).toHaveLength(1);
});

test("removing a stack leaves nothing of it and all of another", async () => {
  const [own, other] = [newStack(), newStack()];
  const labs = [await lab(own), await lab(other)];
  for (const [index, { runner }] of labs.entries()) {
    await runner.createVolume({ id: "vol_same", name: "data", app: "a", region: "cdg", sizeGb: 1 });
    await runner.start(
      instance({ mounts: [{ volume: "vol_same", path: "/data" }] }, { machineId: `3d8dabcdef000${index}` }),
    );
  }
  await removeEverything(docker, own);
  const filters = (label: string) => ({ filters: { label: [`fly-pops.stack=${label}`] } });
  const left = async (label: string) => [
    (await docker.listContainers({ all: true, ...filters(label) })).length,
    (await docker.listVolumes(filters(label))).Volumes?.length ?? 0,
    (await docker.listNetworks(filters(label))).length,
  ];
  expect(await left(own)).toEqual([0, 0, 0]);
  expect(await left(other)).toEqual([1, 1, 1]);
  await removeEverything(docker, own); // a second time is fine
});
