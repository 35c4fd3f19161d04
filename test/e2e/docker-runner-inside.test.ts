import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import type { MachineConfig } from "../../fly/wire.ts";
import type { Instance } from "../../local/fly/core/runner.ts";
import { docker, instance, lab, newStack, shell, startServing } from "../support/docker.ts";

const { runner, exitOf } = await lab(newStack());

/** Runs a line of shell in a fresh machine and returns what it said. */
async function inside(
  script: string,
  over: Partial<MachineConfig> = {},
  rest: Partial<Instance> = {},
): Promise<string[]> {
  const it = shell(script, over, rest);
  await runner.start(it);
  await exitOf(it.machineId);
  return Array.fromAsync(runner.logs(it.machineId, { follow: false }));
}

test.concurrent("the environment is the image's, then the config's, then what the server sets", async () => {
  const output = await inside(
    'echo "$PATH $A $B $FLY_REGION"',
    { env: { A: "config", B: "config" } },
    { env: { B: "server", FLY_REGION: "cdg" } },
  );
  expect(output).toEqual(["/bin config server cdg"]);
});

test.concurrent("the host name is the machine's id, and the special names resolve to what can be bound", async () => {
  const it = shell('hostname; grep -E "fly-(local-6pn|global-services)" /etc/hosts');
  await runner.start(it);
  await exitOf(it.machineId);
  expect(await Array.fromAsync(runner.logs(it.machineId, { follow: false }))).toEqual([
    it.machineId,
    "0.0.0.0\tfly-global-services",
    "::\tfly-local-6pn",
  ]);
});

test.concurrent("the guest's memory is the limit, swap comes on top only when asked for", async () => {
  const limits = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max";
  expect(await inside(limits, { guest: { cpus: 8, memory_mb: 96 } })).toEqual([String(96 * 1024 * 1024)]); // 8 CPUs: more than most engines have
  const it = instance({ guest: { cpus: 1, memory_mb: 96 }, init: { swap_size_mb: 32 } });
  await runner.start(it);
  const [container] = await docker.listContainers({ filters: { label: [`fly-pops.machine=${it.machineId}`] } });
  const { HostConfig } = await docker.getContainer(container?.Id ?? "").inspect();
  expect([HostConfig.Memory, HostConfig.MemorySwap]).toEqual([96 * 1024 * 1024, 128 * 1024 * 1024]);
});

test.concurrent("cmd alone keeps the image's entrypoint; entrypoint alone keeps its command; exec replaces both", async () => {
  const said = async (init: MachineConfig["init"]) => {
    const it = instance({ init });
    await runner.start(it);
    await exitOf(it.machineId);
    return Array.fromAsync(runner.logs(it.machineId, { follow: false }));
  };
  expect(await said({ cmd: ["echo by cmd"] })).toEqual(["by cmd"]);
  expect(await said({ entrypoint: ["/bin/echo"] })).toEqual([
    "mkdir -p /www && echo hello > /www/index.html && exec httpd -f -p 8080 -h /www",
  ]);
  expect(await said({ exec: ["/bin/echo", "by exec"], cmd: ["not this"] })).toEqual(["by exec"]);
});

test.concurrent("files are there before the program: root's, with their modes, directories made, those that exist untouched", async () => {
  const file = (path: string, mode: number) => ({ path, mode, content: Buffer.from(`in ${path}\n`) });
  const files = [file("/run/secrets/key", 0o400), file("/tmp/plain", 0o644), file("/etc/a/b/c", 0o755)];
  const output = await inside(
    "cat /run/secrets/key /tmp/plain /etc/a/b/c; stat -c '%a %u:%g %n' /run/secrets/key /tmp/plain /etc/a/b/c /etc/a/b /tmp",
    {},
    { files },
  );
  expect(output).toEqual([
    ...["in /run/secrets/key", "in /tmp/plain", "in /etc/a/b/c"],
    ...["400 0:0 /run/secrets/key", "644 0:0 /tmp/plain", "755 0:0 /etc/a/b/c", "755 0:0 /etc/a/b", "1777 0:0 /tmp"],
  ]);
});

test.concurrent("a file below the mount path is on the volume; the image's files there are hidden", async () => {
  await runner.createVolume({ id: "vol_files", name: "data", app: "my-edge", region: "cdg", sizeGb: 1 });
  const mounts = [{ volume: "vol_files", path: "/data" }];
  const files = [{ path: "/data/seeds/one", content: Buffer.from("seed\n"), mode: 0o600 }];
  expect(await inside("ls -A /data; cat /data/seeds/one", { mounts }, { files })).toEqual(["seeds", "seed"]);
  expect(await inside("ls -A /data; cat /data/seeds/one", { mounts })).toEqual(["seeds", "seed"]); // another machine, no files
});

test.concurrent("binary and large files arrive as they are", async () => {
  const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919) % 256));
  const output = await inside("sha256sum < /blob", {}, { files: [{ path: "/blob", content, mode: 0o644 }] });
  expect(output).toEqual([`${createHash("sha256").update(content).digest("hex")}  -`]);
});

test.concurrent("root may mount a ramfs, make network interfaces and set its own network's sysctls", async () => {
  expect(await inside("mkdir /s && mount -t ramfs none /s && echo mounted")).toEqual(["mounted"]);
  expect(await inside("ip link add dummy9 type bridge && echo made")).toEqual(["made"]);
  expect(await inside("echo 1 > /proc/sys/net/ipv4/ip_forward && cat /proc/sys/net/ipv4/ip_forward")).toEqual(["1"]);
});

test.concurrent("the engine's own kernel settings stay out of reach", async () => {
  const output = await inside(
    "for f in kernel/panic vm/swappiness fs/file-max; do echo 1 > /proc/sys/$f || echo refused; done",
  );
  expect(output.filter((text) => text === "refused")).toHaveLength(3);
});

test.concurrent("processes that lose their parent are reaped", async () => {
  const output = await inside("(sleep 0.05 &) ; sleep 0.3; ps -o stat,comm | grep -c '^Z' || echo none");
  expect(output.at(-1)).toBe("none");
});

test.concurrent("an image's own health check does not run", async () => {
  const it = instance();
  await runner.start(it);
  const [container] = await docker.listContainers({ filters: { label: [`fly-pops.machine=${it.machineId}`] } });
  expect((await docker.getContainer(container?.Id ?? "").inspect()).State.Health).toBeUndefined();
});

test.concurrent("exec answers with code and both streams, and passes input on", async () => {
  const it = instance();
  await runner.start(it);
  const how = { timeoutMs: 5_000 };
  expect(await runner.exec(it.machineId, ["sh", "-c", "echo out; echo err >&2; exit 3"], how)).toEqual({
    exitCode: 3,
    stdout: "out\n",
    stderr: "err\n",
  });
  expect(await runner.exec(it.machineId, ["cat"], { ...how, stdin: "to and fro" })).toMatchObject({
    stdout: "to and fro",
    exitCode: 0,
  });
  expect(await runner.exec(it.machineId, ["sh", "-c", "kill -9 $$"], how)).toMatchObject({
    exitCode: 137,
    exitSignal: 9,
  });
  const { stdout } = await runner.exec(it.machineId, ["head", "-c", "300000", "/dev/zero"], how);
  expect(stdout.length).toBe(300_000);
  expect(await runner.exec(it.machineId, ["no-such-program"], how)).toMatchObject({
    exitCode: expect.toBeOneOf([126, 127]),
  });
  await expect(runner.exec(it.machineId, ["sleep", "60"], { timeoutMs: 200 })).rejects.toThrow(
    "exec: sleep did not end in 200 ms. It still runs: Docker has no call that ends an exec.",
  );
});

test.concurrent("ps lists what runs", async () => {
  const it = instance();
  await startServing(runner, it);
  const processes = await runner.ps(it.machineId);
  const server = processes.find(({ command }) => command.startsWith("httpd "));
  expect(server?.command).toBe("httpd -f -p 8080 -h /www");
  expect(server?.pid).toBeGreaterThan(1);
  expect(server?.rss).toBeGreaterThan(64 * 1024);
});

test.concurrent("checks: HTTP by status, TCP by a listener that stays; a published port alone proves nothing", async () => {
  const it = instance({ services: [{ protocol: "tcp", internal_port: 8080, checks: [{ port: 9 }] }] });
  await startServing(runner, it);
  const { machineId } = it;
  expect(await runner.probe(machineId, { type: "http", port: 8080, path: "/" })).toEqual({
    passing: true,
    output: "hello",
  });
  const missing = await runner.probe(machineId, { type: "http", port: 8080, path: "/missing" });
  expect(missing.passing).toBe(false);
  expect(missing.output).toMatch(/^answered 404 Not Found: /);
  expect(await runner.probe(machineId, { type: "tcp", port: 8080 })).toEqual({ passing: true, output: "Success" });
  expect(runner.dial(machineId, 9)).toBeDefined();
  expect(await runner.probe(machineId, { type: "tcp", port: 9 })).toMatchObject({ passing: false });
  expect(await runner.probe(machineId, { type: "http", port: 9 })).toMatchObject({ passing: false });
  await runner.suspend(machineId);
  expect(await runner.probe(machineId, { type: "http", port: 8080, timeout: "200ms" })).toEqual({
    passing: false,
    output: "port 8080 gave no answer within 200 ms",
  });
});
