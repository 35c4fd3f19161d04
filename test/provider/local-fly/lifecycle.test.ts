import { expect, test } from "vitest";
import { restarts } from "../../../local/fly/machines/restart-policy.ts";
import { stopHow } from "../../../local/fly/machines/stop-config.ts";
import { type LocalFlyUnderTest, localFly } from "../../support/local-fly.ts";

const image = "registry.example/pop:1";
const exit = (exitCode: number, more = {}) => ({ exitCode, signal: 0, oomKilled: false, at: 0, ...more });
const types = (machine: { events: { type: string }[] }) => machine.events.map((it) => it.type);
const settle = (fly: LocalFlyUnderTest, id: string) => fly.call("GET", `/apps/edge/machines/${id}/wait?state=settled`);

test.each([
  ["no", exit(1), false],
  ["no", exit(0), false],
  ["always", exit(0), true],
  ["always", exit(1), true],
  ["on-failure", exit(0), false],
  ["on-failure", exit(1), true],
  ["on-failure", exit(0, { signal: 9 }), true],
  ["on-failure", exit(0, { oomKilled: true }), true],
  [undefined, exit(1), true],
  [undefined, exit(0), false],
])("restart policy %s after %j: %j", (policy, end, again) => {
  expect(restarts(policy === undefined ? undefined : { policy }, end, [], 0)).toBe(again);
});

test("ten restarts in five minutes are enough, older ones do not count", () => {
  const now = 1_000_000;
  const recent = Array.from({ length: 10 }, (_, index) => now - index * 1000);
  expect(restarts({ policy: "always" }, exit(1), recent, now)).toBe(false);
  expect(restarts({ policy: "always" }, exit(1), recent.slice(1), now)).toBe(true);
  expect(restarts({ policy: "always" }, exit(1), recent, now + 300_000)).toBe(true);
  expect(restarts({ policy: "on-failure", max_retries: 2 }, exit(1), recent.slice(0, 2), now)).toBe(false);
});

test.each([
  [{}, {}, { signal: "SIGINT", timeoutMs: 5000 }],
  [{ stop_config: { signal: "SIGTERM", timeout: "30s" } }, {}, { signal: "SIGTERM", timeoutMs: 30_000 }],
  [{ stop_config: { timeout: "30s" } }, { timeout: "0s" }, { signal: "SIGINT", timeoutMs: 30_000 }],
  [{ stop_config: { timeout: "30s" } }, { timeout: 7, signal: "SIGQUIT" }, { signal: "SIGQUIT", timeoutMs: 7000 }],
  [{}, { timeout: "1m30s" }, { signal: "SIGINT", timeoutMs: 90_000 }],
  [{}, { timeout: "12" }, { signal: "SIGINT", timeoutMs: 12_000 }],
  [{}, { timeout: "1h" }, { signal: "SIGINT", timeoutMs: 300_000 }],
])("config %j, asked %j: stopped by %j", (config, asked, how) => {
  expect(stopHow(config, asked)).toEqual(how);
});

test("a crash is reported with code and restart, and the machine comes back", async () => {
  await using fly = await localFly();
  const { id } = await fly.machine();
  fly.runner.crash(id, { exitCode: 3 });
  expect((await fly.read(id)).state).toBe("starting");
  await settle(fly, id);
  const machine = await fly.read(id);
  expect(machine.state).toBe("started");
  expect(types(machine)).toEqual(["start", "exit", "start", "launch"]);
  expect(machine.events[1].request).toMatchObject({
    restart_count: 1,
    exit_event: { exit_code: 3, guest_exit_code: 3, oom_killed: false, requested_stop: false, restarting: true },
  });
});

test("an OOM kill is reported as one", async () => {
  await using fly = await localFly();
  fly.runner.image(image, { exits: { afterMs: 2000, exitCode: 137, signal: 9, oomKilled: true, times: 1 } });
  const { id } = await fly.machine();
  await fly.clock.advance(10_000);
  const machine = await fly.read(id);
  expect(machine.state).toBe("started");
  expect(machine.events[1].request.exit_event).toMatchObject({ exit_code: 137, signal: 9, oom_killed: true });
});

test("a crash loop ends stopped after ten restarts", async () => {
  await using fly = await localFly();
  fly.runner.image(image, { exits: { afterMs: 100, exitCode: 1 } });
  const { id } = await fly.machine({ config: { image, restart: { policy: "always" } } });
  await fly.clock.advance(120_000);
  const machine = await fly.read(id);
  expect(machine.state).toBe("stopped");
  expect(fly.runner.boots).toHaveLength(11);
  expect(machine.events[0]).toMatchObject({
    type: "exit",
    request: { restart_count: 10, exit_event: { restarting: false, requested_stop: false } },
  });
  await fly.call("POST", `/apps/edge/machines/${id}`, { config: { image: "registry.example/pop:good" } });
  await settle(fly, id);
  expect((await fly.read(id)).state).toBe("stopped");
});

test("an update in the middle of a crash loop ends it", async () => {
  await using fly = await localFly();
  fly.runner.image(image, { exits: { afterMs: 100, exitCode: 1 } });
  const { id } = await fly.machine();
  await fly.clock.advance(3000);
  const { body } = await fly.call("POST", `/apps/edge/machines/${id}`, {
    config: { image: "registry.example/pop:good" },
  });
  await fly.call("GET", `/apps/edge/machines/${id}/wait?version=${body.instance_id}`);
  await fly.clock.advance(60_000);
  expect(await fly.read(id)).toMatchObject({ state: "started", instance_id: body.instance_id });
});

test("policy no: the end of the program is the end", async () => {
  await using fly = await localFly();
  const { id } = await fly.machine({ config: { image, restart: { policy: "no" } } });
  fly.runner.crash(id);
  await settle(fly, id);
  expect((await fly.read(id)).state).toBe("stopped");
  expect(fly.runner.boots).toHaveLength(1);
});

test.each([0, 1])("auto_destroy removes the machine after exit code %i", async (exitCode) => {
  await using fly = await localFly();
  const { id } = await fly.machine({ config: { image, auto_destroy: true } });
  fly.runner.crash(id, { exitCode });
  await fly.call("GET", `/apps/edge/machines/${id}/wait?state=destroyed`);
  const machine = await fly.read(id);
  expect(machine.state).toBe("destroyed");
  expect(types(machine).slice(0, 3)).toEqual(["destroy", "destroy", "exit"]);
});

test("a machine that does not come up exits 128 with the reason, and is tried again", async () => {
  await using fly = await localFly({ behaviour: { boot: "fails" } });
  const { id } = await fly.machine({ config: { image, restart: { policy: "on-failure", max_retries: 2 } } });
  expect(await fly.read(id)).toMatchObject({ state: "stopped" });
  expect(fly.runner.boots).toHaveLength(3);
  const [event] = (await fly.read(id)).events;
  expect(event.request.exit_event).toMatchObject({ exit_code: 128, error: expect.stringContaining("init") });
});

test("a first image that cannot be pulled leaves the machine failed, and events say why", async () => {
  await using fly = await localFly({ behaviour: { pull: "fails" } });
  const machine = await fly.machine();
  expect(machine.state).toBe("failed");
  expect(machine.events[0]).toMatchObject({
    type: "launch",
    status: "failed",
    request: { error: expect.stringContaining("manifest unknown") },
  });
});

test("a stop is reported as requested, and takes the configured timeout", async () => {
  await using fly = await localFly({ behaviour: { ignoresSignals: true } });
  const machine = await fly.machine({ config: { image, stop_config: { timeout: "20s" } } });
  const before = fly.clock.now();
  await fly.call("POST", `/apps/edge/machines/${machine.id}/stop`);
  expect((await fly.read(machine.id)).state).toBe("stopping");
  await fly.call("GET", `/apps/edge/machines/${machine.id}/wait?state=stopped&version=${machine.instance_id}`);
  expect(fly.clock.now() - before).toBe(20_000);
  const [event] = (await fly.read(machine.id)).events;
  expect(event).toMatchObject({
    type: "exit",
    request: { exit_event: { requested_stop: true, restarting: false, signal: 9 } },
  });
});

test("start after stop boots the same version afresh; start after suspend resumes it", async () => {
  await using fly = await localFly();
  const { id, instance_id } = await fly.machine();
  const path = `/apps/edge/machines/${id}`;
  await fly.call("POST", `${path}/stop`);
  await fly.call("GET", `${path}/wait?state=stopped`);
  expect((await fly.call("POST", `${path}/start`)).body).toMatchObject({ previous_state: "stopped", migrated: false });
  await fly.call("GET", `${path}/wait`);
  expect(fly.runner.boots.map((it) => it.version)).toEqual([instance_id, instance_id]);
  await fly.call("POST", `${path}/suspend`);
  await fly.call("GET", `${path}/wait?state=suspended`);
  expect((await fly.call("POST", `${path}/start`)).body.previous_state).toBe("suspended");
  await fly.call("GET", `${path}/wait`);
  expect(fly.runner.boots).toHaveLength(2);
});

test.each([
  [{ guest: { cpu_kind: "performance", cpus: 2, memory_mb: 4096 } }, /memory/],
  [{ init: { swap_size_mb: 256 } }, /swap/],
  [{ schedule: "daily" }, /schedule/],
])("a machine with %j cannot be suspended", async (config, error) => {
  await using fly = await localFly();
  const { id } = await fly.machine({ config: { image, ...config } });
  const reply = await fly.call("POST", `/apps/edge/machines/${id}/suspend`);
  expect(reply.status).toBe(412);
  expect(reply.body.error).toMatch(error);
});

test("stopping a suspended machine drops its memory: the next start is a fresh boot", async () => {
  await using fly = await localFly();
  const { id } = await fly.machine();
  const path = `/apps/edge/machines/${id}`;
  await fly.call("POST", `${path}/suspend`);
  await fly.call("GET", `${path}/wait?state=suspended`);
  await fly.call("POST", `${path}/stop`);
  await fly.call("GET", `${path}/wait?state=stopped`);
  await fly.call("POST", `${path}/start`);
  await fly.call("GET", `${path}/wait`);
  expect(fly.runner.boots).toHaveLength(2);
});

test("a delete in the middle of a slow boot ends it, and nothing comes up later", async () => {
  await using fly = await localFly({ behaviour: { bootMs: 600_000 } });
  await fly.call("POST", "/apps", { name: "edge", org_slug: "personal" });
  const { id } = (await fly.call("POST", "/apps/edge/machines", { config: { image } })).body;
  await fly.clock.advance(5000);
  expect((await fly.read(id)).state).toBe("starting");
  await fly.call("DELETE", `/apps/edge/machines/${id}?force=true`);
  await fly.call("GET", `/apps/edge/machines/${id}/wait?state=destroyed`);
  await fly.clock.advance(1_200_000);
  expect(fly.runner.running()).toEqual([]);
});

test("a newer update cannot begin while one replaces; after it the newest version runs alone", async () => {
  await using fly = await localFly();
  const { id } = await fly.machine();
  const update = () => fly.call("POST", `/apps/edge/machines/${id}`, { config: { image } });
  const [first, second] = await Promise.all([update(), update()]);
  expect([first.status, second.status].sort()).toEqual([200, 409]);
  await settle(fly, id);
  expect(fly.runner.running()).toEqual([id]);
});

test("exec passes command and stdin on, and answers what came back", async () => {
  await using fly = await localFly({
    behaviour: { exec: (command, stdin) => ({ exitCode: 3, stdout: command.join("|"), stderr: stdin ?? "" }) },
  });
  const { id } = await fly.machine();
  const exec = (body: unknown) => fly.call("POST", `/apps/edge/machines/${id}/exec`, body);
  expect((await exec({ command: ["sh", "-c", "a b"], stdin: "in" })).body).toEqual({
    exit_code: 3,
    stdout: "sh|-c|a b",
    stderr: "in",
  });
  expect((await exec({ cmd: `sh -c "a b" 'c d'` })).body.stdout).toBe("sh|-c|a b|c d");
  expect((await exec({})).status).toBe(400);
});

test.each([
  ["SIGHUP", 200],
  [1, 200],
  ["1", 200],
  ["hangup", 400],
  [99, 400],
])("signal %j is a %i", async (signal, status) => {
  await using fly = await localFly();
  const { id } = await fly.machine();
  expect((await fly.call("POST", `/apps/edge/machines/${id}/signal`, { signal })).status).toBe(status);
});

test("a stop with a JSON list for a body is a 400 and stops nothing", async () => {
  await using fly = await localFly();
  const { id } = await fly.machine();
  expect((await fly.call("POST", `/apps/edge/machines/${id}/stop`, [])).status).toBe(400);
  expect((await fly.read(id)).state).toBe("started");
});
