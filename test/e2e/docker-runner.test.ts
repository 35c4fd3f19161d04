import { expect, test } from "vitest";
import { docker, instance, lab, line, newStack, shell, startServing } from "../support/docker.ts";

const stack = newStack();
const { runner, exits, exitOf } = await lab(stack);
const soon = { signal: "SIGINT", timeoutMs: 5_000 };
const containers = (machineId: string) =>
  docker.listContainers({ all: true, filters: { label: [`fly-pops.machine=${machineId}`] } });

test("a machine serves through a port of this machine, and no longer after its stop", async () => {
  const it = instance();
  await startServing(runner, it);
  const at = runner.dial(it.machineId, 8080);
  expect(at?.host).toBe("127.0.0.1");
  expect(await (await fetch(`http://127.0.0.1:${at?.port}/`)).text()).toBe("hello\n");
  await runner.stop(it.machineId, soon);
  expect(runner.dial(it.machineId, 8080)).toBeUndefined();
  await expect(fetch(`http://127.0.0.1:${at?.port}/`)).rejects.toThrow();
});

test("a port no service or check names is not published", async () => {
  const it = instance();
  await runner.start(it);
  expect(runner.dial(it.machineId, 22)).toBeUndefined();
});

test("an end is reported once, with its exit code, after start has returned", async () => {
  const it = shell("exit 7");
  const before = Date.now();
  let started = false;
  const exit = exitOf(it.machineId).then((reported) => ({ reported, started }));
  await runner.start(it);
  started = true;
  const { reported, started: startedBefore } = await exit;
  expect(startedBefore).toBe(true);
  expect(reported).toMatchObject({ exitCode: 7, signal: 0, oomKilled: false });
  expect(Math.abs(reported.at - before)).toBeLessThan(60_000);
  await runner.stop(it.machineId, soon); // resolves at once
  expect(exits.filter(({ machineId }) => machineId === it.machineId)).toHaveLength(1);
});

test("a program that is not in the image is an exit with 127, as a shell says it", async () => {
  const it = instance({ init: { exec: ["/no/such/program"] } });
  await runner.start(it);
  expect(await exitOf(it.machineId)).toMatchObject({ exitCode: 127, signal: 0 });
});

test("a machine over its memory is killed and says so", async () => {
  const it = shell("x=a; while :; do x=$x$x; done");
  await runner.start(it);
  expect(await exitOf(it.machineId)).toMatchObject({ exitCode: 137, signal: 9, oomKilled: true });
});

test("a machine that outlived an OOM kill of one of its processes and ends well was not OOM-killed", async () => {
  const it = shell(`sh -c 'x=a; while :; do x=$x$x; done'; echo survived; exit 0`);
  await runner.start(it);
  expect(await exitOf(it.machineId)).toMatchObject({ exitCode: 0, oomKilled: false });
});

test("stop sends the requested signal, and has reported the exit when it resolves", async () => {
  const it = shell(`trap 'echo got HUP; exit 3' HUP; echo ready; while :; do sleep 0.05; done`);
  await runner.start(it);
  await line(runner, it.machineId, /ready/);
  await runner.stop(it.machineId, { signal: "SIGHUP", timeoutMs: 5_000 });
  expect(exits.at(-1)).toMatchObject({ machineId: it.machineId, exitCode: 3 });
  expect(await Array.fromAsync(runner.logs(it.machineId, { follow: false }))).toEqual(["ready", "got HUP"]);
});

test("what does not end by the signal gets SIGTERM, then SIGKILL", async () => {
  const it = shell(`trap 'echo got INT' INT; trap 'echo got TERM' TERM; echo ready; while :; do sleep 0.05; done`);
  await runner.start(it);
  await line(runner, it.machineId, /ready/);
  await runner.stop(it.machineId, { signal: "SIGINT", timeoutMs: 300 });
  expect(exits.at(-1)).toMatchObject({ machineId: it.machineId, exitCode: 137, signal: 9, oomKilled: false });
  expect(await Array.fromAsync(runner.logs(it.machineId, { follow: false }))).toEqual(["ready", "got INT", "got TERM"]);
});

test("a stop asked for while the machine still boots ends it", async () => {
  const it = instance();
  const starting = runner.start(it);
  await runner.stop(it.machineId, soon);
  await starting;
  await runner.stop(it.machineId, soon);
  expect(runner.dial(it.machineId, 8080)).toBeUndefined();
});

test("a suspended machine answers nothing and goes on where it was, memory and all", async () => {
  const it = shell("mkdir /www; n=0; while :; do n=$((n+1)); echo $n; sleep 0.02; done");
  await runner.start(it);
  await line(runner, it.machineId, /^5$/);
  await runner.suspend(it.machineId);
  const frozen = await Array.fromAsync(runner.logs(it.machineId, { follow: false }));
  await expect(runner.exec(it.machineId, ["ls"], { timeoutMs: 5_000 })).rejects.toMatchObject({ code: "engine" });
  expect(await Array.fromAsync(runner.logs(it.machineId, { follow: false }))).toEqual(frozen);
  await runner.resume(it.machineId);
  await line(runner, it.machineId, new RegExp(`^${frozen.length + 3}$`)); // counted on, not from 1
});

test("a suspended machine that is stopped is not woken up", async () => {
  const it = shell(`trap 'echo woke up' INT TERM; echo ready; while :; do sleep 0.02; done`);
  await runner.start(it);
  await line(runner, it.machineId, /ready/);
  await runner.suspend(it.machineId);
  await runner.stop(it.machineId, soon);
  expect(exits.at(-1)).toMatchObject({ machineId: it.machineId, exitCode: 137 });
  expect(await Array.fromAsync(runner.logs(it.machineId, { follow: false }))).toEqual(["ready"]);
});

test("a signal reaches the program", async () => {
  const it = shell(`trap 'echo got USR1' USR1; echo ready; while :; do sleep 0.02; done`);
  await runner.start(it);
  await line(runner, it.machineId, /ready/);
  await runner.signal(it.machineId, "SIGUSR1");
  await line(runner, it.machineId, /got USR1/);
});

test("a root file system is fresh with every start, a volume is not", async () => {
  await runner.createVolume({ id: "vol_fresh", name: "data", app: "my-edge", region: "cdg", sizeGb: 1 });
  const mounts = [{ volume: "vol_fresh", path: "/data" }];
  const it = shell("ls -A / | grep -x mark; ls -A /data; touch /mark /data/mark", { mounts });
  for (const expected of [[], ["mark"]]) {
    await runner.start(it);
    await exitOf(it.machineId);
    expect(await Array.fromAsync(runner.logs(it.machineId, { follow: false }))).toEqual(expected);
  }
  expect(await containers(it.machineId)).toHaveLength(1); // the one before went when this one ran
});

test("the output of an ended machine can be read, both streams, a last line without an end too", async () => {
  const it = shell("echo one; echo two >&2; printf three");
  await runner.start(it);
  await exitOf(it.machineId);
  const output = await Array.fromAsync(runner.logs(it.machineId, { follow: false }));
  expect(output.toSorted()).toEqual(["one", "three", "two"]);
});

test("following ends with the machine", async () => {
  const it = shell("echo one; sleep 0.3; echo two");
  await runner.start(it);
  expect(await Array.fromAsync(runner.logs(it.machineId, { follow: true }))).toEqual(["one", "two"]);
});

test("an unknown machine has no output", async () => {
  expect(await Array.fromAsync(runner.logs("3d8dffffffffff", { follow: true }))).toEqual([]);
});

test("what needs a running machine says so when it does not run", async () => {
  const it = shell("exit 0");
  await runner.start(it);
  await exitOf(it.machineId);
  const sentence = (verb: string) => `machine ${it.machineId}: no ${verb}, it does not run.`;
  const { machineId } = it;
  await expect(runner.suspend(machineId)).rejects.toMatchObject({ code: "not-running", message: sentence("suspend") });
  await expect(runner.resume(machineId)).rejects.toMatchObject({ code: "not-running", message: sentence("resume") });
  await expect(runner.signal(machineId, "SIGHUP")).rejects.toMatchObject({ code: "not-running" });
  await expect(runner.exec(machineId, ["ls"], { timeoutMs: 1000 })).rejects.toMatchObject({ code: "not-running" });
  await expect(runner.ps(machineId)).rejects.toMatchObject({ code: "not-running" });
  expect(await runner.probe(machineId, { type: "tcp", port: 8080 })).toEqual({
    passing: false,
    output: "port 8080 is not reached, the machine does not run",
  });
});

test("a start that fails leaves no container and says why", async () => {
  const lost = instance({ mounts: [{ volume: "vol_lost", path: "/data" }] });
  await expect(runner.start(lost)).rejects.toMatchObject({
    code: "start",
    message: `machine ${lost.machineId} (${lost.name}): not started, volume vol_lost does not exist.`,
  });
  const unknown = instance({ image: `fly-pops-nowhere@sha256:${"0".repeat(64)}` });
  await expect(runner.start(unknown)).rejects.toThrow(
    /not started, image fly-pops-nowhere@sha256:0+ is not in the engine/,
  );
  const badPath = instance({}, { files: [{ path: "/bin/busybox/x", content: Buffer.from(""), mode: 0o400 }] });
  await expect(runner.start(badPath)).rejects.toMatchObject({ code: "start" });
  for (const it of [lost, unknown, badPath]) {
    expect(await containers(it.machineId)).toEqual([]);
    expect(runner.dial(it.machineId, 8080)).toBeUndefined();
  }
  await expect(runner.removeVolume("vol_lost")).resolves.toBeUndefined(); // Docker made none on the way
});

test("a failed start keeps the last instance's output", async () => {
  const it = shell("echo the last words");
  await runner.start(it);
  await exitOf(it.machineId);
  await expect(runner.start({ ...it, config: { ...it.config, image: "fly-pops-nowhere:1" } })).rejects.toThrow();
  expect(await Array.fromAsync(runner.logs(it.machineId, { follow: false }))).toEqual(["the last words"]);
});

test("a machine that runs cannot be started a second time", async () => {
  const it = instance();
  await runner.start(it);
  await expect(runner.start(it)).rejects.toThrow(/it runs already\.$/);
  expect(runner.dial(it.machineId, 8080)).toBeDefined();
});

test("remove kills, tells the exit and leaves nothing; a second one is fine", async () => {
  const it = instance();
  await runner.start(it);
  await runner.remove(it.machineId);
  expect(exits.at(-1)).toMatchObject({ machineId: it.machineId, exitCode: 137 });
  expect(await containers(it.machineId)).toEqual([]);
  await runner.remove(it.machineId);
});

test("a container that another client removes is an exit", async () => {
  const it = instance();
  await runner.start(it);
  const [container] = await containers(it.machineId);
  await docker.getContainer(container?.Id ?? "").remove({ force: true });
  expect(await exitOf(it.machineId)).toMatchObject({ exitCode: 137, signal: 9 });
});

test("a volume is made once, not removed under a machine that runs, and gone after it", async () => {
  const spec = { id: "vol_once", name: "data", app: "my-edge", region: "cdg", sizeGb: 3 };
  await runner.createVolume(spec);
  await runner.createVolume(spec);
  const info = await docker.getVolume(`${stack}-vol_once`).inspect();
  expect(info.Labels).toEqual({
    "fly-pops.stack": stack,
    "fly-pops.app": "my-edge",
    "fly-pops.volume": "vol_once",
    "fly-pops.region": "cdg",
    "fly-pops.size-gb": "3",
  });
  const it = instance({ mounts: [{ volume: "vol_once", path: "/data" }] });
  await runner.start(it);
  await runner.extendVolume("vol_once", 5);
  await expect(runner.removeVolume("vol_once")).rejects.toMatchObject({ code: "engine" });
  await runner.stop(it.machineId, soon); // its container stays, for the logs
  await runner.removeVolume("vol_once");
  await runner.removeVolume("vol_once");
  await expect(docker.getVolume(`${stack}-vol_once`).inspect()).rejects.toMatchObject({ statusCode: 404 });
});
