import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { emptyFlyState, type FlyState } from "../../../local/fly/core/fly-state.ts";
import { fileStore, memoryStore } from "../../../local/fly/core/store.ts";
import { type LocalFlyUnderTest, localFly } from "../../support/local-fly.ts";

const image = "registry.example/pop:1";
const slow = "registry.example/pop:slow";
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "local-fly-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

test("what was answered is on disk, readable by its owner alone, and back after a restart", async () => {
  const path = join(dir, "state", "state.json");
  await using fly = await localFly({ store: fileStore(path) });
  await fly.call("POST", "/apps", { name: "edge", org_slug: "personal" });
  await fly.call("POST", "/apps/edge/secrets", { values: { A: "secret" } });
  expect(JSON.parse(readFileSync(path, "utf8")).apps.edge.secrets).toMatchObject([{ value: "secret" }]);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const volume = (await fly.call("POST", "/apps/edge/volumes", { name: "data", region: "ams" })).body;
  const machine = await fly.machine({ config: { image, mounts: [{ volume: volume.id, path: "/var" }] } });
  const address = (await fly.call("POST", "/apps/edge/ip_assignments", { type: "v4" })).body;
  const lease = (await fly.call("POST", `/apps/edge/machines/${machine.id}/lease?ttl=600`)).body;
  const before = await fly.read(machine.id);
  await fly.restart();
  expect(await fly.read(machine.id)).toEqual(before);
  expect((await fly.call("GET", `/apps/edge/machines/${machine.id}/lease`)).body).toEqual(lease);
  expect((await fly.call("GET", "/apps/edge/ip_assignments")).body.ips).toEqual([address]);
  expect((await fly.call("GET", `/apps/edge/volumes/${volume.id}`)).body.attached_machine_id).toBe(machine.id);
  expect(fly.runner.boots).toHaveLength(1);
  expect(readdirSync(join(dir, "state"))).toEqual(["state.json"]);
});

test("a state that cannot be written leaves the old one whole", () => {
  const path = join(dir, "state.json");
  const store = fileStore(path);
  store.save({ ...emptyFlyState(), counter: 1 });
  const circular = emptyFlyState() as unknown as Record<string, unknown>;
  circular.apps = { circular };
  expect(() => store.save(circular as never)).toThrow();
  expect(store.load().counter).toBe(1);
});

test("a store that cannot write: the answer says so instead of promising, the server lives, the next answer writes all", async () => {
  const store = memoryStore();
  let full = false;
  const save = (flyState: FlyState) => {
    if (full) throw new Error("ENOSPC: no space left on device");
    store.save(structuredClone(flyState));
  };
  await using fly = await localFly({ store: { load: store.load, save } });
  const create = (name: string) => fly.call("POST", "/apps", { name, org_slug: "personal" });
  await create("one");
  full = true;
  expect(await create("two")).toMatchObject({ status: 500, body: { error: expect.stringContaining("ENOSPC") } });
  full = false;
  expect((await create("three")).status).toBe(201);
  expect(Object.keys(store.load().apps)).toEqual(["one", "two", "three"]);
});

test("a state of another schema is refused in a sentence", () => {
  const path = join(dir, "state.json");
  writeFileSync(path, JSON.stringify({ ...emptyFlyState(), schemaVersion: 2 }));
  chmodSync(path, 0o600);
  expect(() => fileStore(path).load()).toThrow(/\(schema 2, this one reads 1\)\. Nothing was changed\./);
});

test("no file is an empty state", () => {
  expect(fileStore(join(dir, "none.json")).load()).toEqual(emptyFlyState());
});

// A restart in the middle of everything: the same end as without.

const settled = async (fly: LocalFlyUnderTest, id: string) => {
  await fly.call("GET", `/apps/edge/machines/${id}/wait?state=settled`);
  return fly.read(id);
};
const born = async (fly: LocalFlyUnderTest, body: Record<string, unknown> = {}) => {
  await fly.call("POST", "/apps", { name: "edge", org_slug: "personal" });
  return (await fly.call("POST", "/apps/edge/machines", { config: { image }, ...body })).body;
};

// Pulls take 200 ms, boots 500 ms: the restart hits the pull, the boot, and the moment after.
test.each([0, 100, 300, 690, 800])("restarted %i ms into a launch, the machine is up in the end, once", async (ms) => {
  await using fly = await localFly();
  const { id, instance_id } = await born(fly);
  await fly.clock.advance(ms);
  await fly.restart();
  expect(await settled(fly, id)).toMatchObject({ state: "started", instance_id });
  await fly.clock.advance(60_000);
  expect(fly.runner.running()).toEqual([id]);
});

test("a launch that was to rest stopped rests stopped", async () => {
  await using fly = await localFly();
  const { id } = await born(fly, { skip_launch: true });
  await fly.restart();
  expect((await settled(fly, id)).state).toBe("stopped");
  expect(fly.runner.boots).toHaveLength(0);
});

test.each([0, 100, 250, 400, 790, 900])(
  "restarted %i ms into an update, the new version runs in the end",
  async (ms) => {
    await using fly = await localFly();
    const { id } = await fly.machine();
    const { body } = await fly.call("POST", `/apps/edge/machines/${id}`, {
      config: { image: "registry.example/pop:2" },
    });
    await fly.clock.advance(ms);
    await fly.restart();
    expect(await settled(fly, id)).toMatchObject({ state: "started", instance_id: body.instance_id });
    await fly.clock.advance(60_000);
    expect(fly.runner.running()).toEqual([id]);
    expect(fly.runner.boots.at(-1)?.version).toBe(body.instance_id);
  },
);

test("while a restarted server still pulls, the old instance serves on", async () => {
  await using fly = await localFly();
  fly.runner.image(slow, { pullMs: 30_000 });
  const { id, instance_id } = await fly.machine();
  await fly.call("POST", `/apps/edge/machines/${id}`, { config: { image: slow } });
  await fly.clock.advance(1000);
  await fly.restart();
  await fly.clock.advance(1000);
  expect(fly.runner.running()).toEqual([id]);
  expect(fly.machines()[0]).toMatchObject({ state: "replacing", runs: instance_id });
});

test("a failing update is reverted by the server that took over", async () => {
  await using fly = await localFly();
  fly.runner.image(slow, { pullMs: 30_000, pull: "fails" });
  const { id, instance_id } = await fly.machine();
  await fly.call("POST", `/apps/edge/machines/${id}`, { config: { image: slow } });
  await fly.restart();
  expect(await settled(fly, id)).toMatchObject({ state: "started", instance_id });
  expect(fly.runner.boots).toHaveLength(1);
});

test.each([
  ["stop", "POST", "/stop", "stopped"],
  ["restart", "POST", "/restart", "started"],
  ["forced delete", "DELETE", "?force=true", "destroyed"],
])("a %s under way is brought to its end", async (_, method, path, state) => {
  await using fly = await localFly({ behaviour: { stopMs: 2000 } });
  const { id } = await fly.machine();
  await fly.call(method, `/apps/edge/machines/${id}${path}`);
  await fly.restart();
  expect((await settled(fly, id)).state).toBe(state);
  expect(fly.runner.running()).toEqual(state === "started" ? [id] : []);
});

test("a crash loop goes on counting", async () => {
  await using fly = await localFly();
  fly.runner.image(image, { exits: { afterMs: 100, exitCode: 1 } });
  const { id } = await born(fly);
  for (let restart = 0; restart < 5; restart++) {
    await fly.clock.advance(2100);
    await fly.restart();
  }
  await fly.clock.advance(120_000);
  expect(await fly.read(id)).toMatchObject({ state: "stopped" });
  expect(fly.machines()[0]?.restartCount).toBe(10);
});

test("checks go on after a restart", async () => {
  await using fly = await localFly();
  const { id } = await fly.machine({
    config: { image, checks: { health: { type: "tcp", port: 1, interval: "10s" } } },
  });
  await fly.clock.advance(2000);
  await fly.restart();
  fly.runner.machine(id, { check: () => ({ passing: false, output: "down" }) });
  await fly.clock.advance(11_000);
  expect((await fly.read(id)).checks).toMatchObject([{ status: "critical", output: "down" }]);
});

test.each([
  ["always", "started"],
  ["no", "stopped"],
])("machines that ended while no server was there follow their policy: %s", async (policy, state) => {
  await using fly = await localFly();
  const { id } = await fly.machine({ config: { image, restart: { policy } } });
  fly.fly.close();
  await fly.runner.remove(id);
  await fly.restart();
  const machine = await settled(fly, id);
  expect(machine.state).toBe(state);
  expect(machine.events.find((it: { type: string }) => it.type === "exit").request.exit_event).toMatchObject({
    exit_code: 137,
    requested_stop: false,
  });
});

test("a container without a machine is removed", async () => {
  await using fly = await localFly();
  const { id } = await fly.machine();
  const [instance] = fly.runner.boots;
  if (!instance) throw new Error("nothing was booted");
  void fly.runner.start({ ...instance, machineId: "ffffffffffffff" });
  await fly.clock.advance(1000);
  expect(fly.runner.running()).toEqual([id, "ffffffffffffff"].sort());
  await fly.restart();
  expect(fly.runner.running()).toEqual([id]);
});

test("a closed server acts no more", async () => {
  await using fly = await localFly();
  const { id } = await born(fly);
  const before = fly.flyState();
  fly.fly.close();
  await fly.clock.advance(60_000);
  expect(fly.flyState()).toEqual(before);
  expect(before.machines[id]?.state).toBe("created");
});
