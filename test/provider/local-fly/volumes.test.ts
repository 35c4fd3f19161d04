import { expect, test } from "vitest";
import { type LocalFlyUnderTest, localFly } from "../../support/local-fly.ts";

const image = "registry.example/pop:1";
const withApp = async (options: Parameters<typeof localFly>[0] = {}) => {
  const fly = await localFly(options);
  await fly.call("POST", "/apps", { name: "edge", org_slug: "personal" });
  return fly;
};
const create = (fly: LocalFlyUnderTest, body: Record<string, unknown> = {}) =>
  fly.call("POST", "/apps/edge/volumes", { name: "data", region: "ams", ...body });
const mountedOn = (id: string) => ({ config: { image, mounts: [{ volume: id, path: "/var" }] } });

test("a volume says everything Fly adds to it", async () => {
  await using fly = await withApp();
  const { status, body } = await create(fly);
  expect(status).toBe(200);
  expect(body).toEqual({
    id: expect.stringMatching(/^vol_[0-9a-z]{16}$/),
    name: "data",
    state: "created",
    size_gb: 3,
    region: "ams",
    zone: "ams-01",
    encrypted: true,
    attached_machine_id: null,
    attached_alloc_id: null,
    created_at: "2026-01-01T00:00:00Z",
    blocks: 0,
    block_size: 0,
    blocks_free: 0,
    blocks_avail: 0,
    bytes_used: 0,
    bytes_total: 0,
    fstype: "",
    snapshot_retention: 5,
    auto_backup_enabled: true,
    host_dedication_key: "",
    host_status: "ok",
  });
  expect((await fly.call("GET", `/apps/edge/volumes/${body.id}`)).body).toEqual(body);
  expect((await fly.call("GET", "/apps/edge/volumes")).body).toEqual([body]);
  expect(fly.runner.volumes.get(body.id)).toBe(3);
});

test.each([
  ["a hyphen in its name", { name: "my-data" }],
  ["capitals", { name: "Data" }],
  ["no name", { name: "" }],
  ["31 letters", { name: "d".repeat(31) }],
  ["no such region", { region: "cgd" }],
  ["a region alias", { region: "eu" }],
  ["501 GB", { size_gb: 501 }],
  ["half a GB", { size_gb: 0.5 }],
  ["no snapshot at all", { snapshot_retention: 0 }],
  ["snapshots without end", { snapshot_retention: 61 }],
  ["an unknown source", { source_volume_id: "vol_0000000000000000" }],
])("a volume with %s is a 400, and none is made", async (_, body) => {
  await using fly = await withApp();
  expect((await create(fly, body)).status).toBe(400);
  expect(fly.volumes()).toEqual([]);
});

test("fly-go says null for everything its caller left unset", async () => {
  await using fly = await withApp();
  const unset = Object.fromEntries(
    [
      "size_gb",
      "encrypted",
      "require_unique_zone",
      "unique_zone_app_wide",
      "snapshot_retention",
      "auto_backup_enabled",
      "fstype",
      "snapshot_id",
      "source_volume_id",
      "compute",
    ].map((key) => [key, null]),
  );
  expect(await create(fly, unset)).toMatchObject({ status: 200, body: { size_gb: 3, encrypted: true } });
});

test("volumes of one name lie on different hosts until there is none left", async () => {
  await using fly = await withApp({ settings: { hostsPerRegion: 2 } });
  const zones = [(await create(fly)).body.zone, (await create(fly)).body.zone];
  expect(new Set(zones).size).toBe(2);
  expect(await create(fly)).toMatchObject({ status: 412, body: { error: expect.stringContaining("no unique zone") } });
  expect((await create(fly, { name: "other" })).status).toBe(200);
  expect((await create(fly, { require_unique_zone: false })).status).toBe(200);
  fly.fly.platform.full("ams");
  expect(await create(fly)).toMatchObject({ status: 400, body: { error: "no capacity" } });
});

test("hosts are packed: volumes of different names share one, unless the whole app is to be kept apart", async () => {
  await using fly = await withApp({ settings: { hostsPerRegion: 3 } });
  const one = (await create(fly, { name: "one" })).body.zone;
  expect((await create(fly, { name: "two" })).body.zone).toBe(one);
  const apart = { unique_zone_app_wide: true };
  const zones = [one];
  for (const name of ["three", "four"]) zones.push((await create(fly, { name, ...apart })).body.zone);
  expect(new Set(zones).size).toBe(3);
  expect((await create(fly, { name: "five", ...apart })).status).toBe(412);
});

test("two creates at once do not share a host; a runner that fails leaves no row", async () => {
  await using fly = await withApp({ settings: { hostsPerRegion: 2 } });
  const [one, two] = await Promise.all([create(fly), create(fly)]);
  expect(new Set([one.body.zone, two.body.zone]).size).toBe(2);
  const { createVolume } = fly.runner;
  fly.runner.createVolume = () => Promise.reject(new Error("no disk"));
  expect((await create(fly, { name: "other" })).status).toBe(500);
  fly.runner.createVolume = createVolume;
  expect(fly.volumes()).toHaveLength(2);
});

test("a delete that the runner could not do is not a delete", async () => {
  await using fly = await withApp();
  const { id } = (await create(fly)).body;
  const { removeVolume } = fly.runner;
  fly.runner.removeVolume = () => Promise.reject(new Error("busy"));
  expect((await fly.call("DELETE", `/apps/edge/volumes/${id}`)).status).toBe(500);
  fly.runner.removeVolume = removeVolume;
  expect((await fly.call("GET", `/apps/edge/volumes/${id}`)).body.state).toBe("created");
  expect((await fly.call("DELETE", `/apps/edge/volumes/${id}`)).body.state).toBe("pending_destroy");
});

test("a machine goes to its volume's host and region, and holds it", async () => {
  await using fly = await withApp();
  const volume = (await create(fly)).body;
  const machine = await fly.machine(mountedOn(volume.id));
  expect(machine.region).toBe("ams");
  expect(fly.machines()[0]?.zone).toBe(volume.zone);
  expect(machine.config.mounts).toEqual([
    { volume: volume.id, path: "/var", name: "data", size_gb: 3, encrypted: true },
  ]);
  const after = (await fly.call("GET", `/apps/edge/volumes/${volume.id}`)).body;
  expect(after).toMatchObject({ attached_machine_id: machine.id, fstype: "ext4" });
  expect(after.bytes_total).toBe(3 * 2 ** 30);
});

test("the region asked for must be the volume's, or hold it", async () => {
  await using fly = await withApp();
  const { id } = (await create(fly)).body;
  const inRegion = (region: string) => fly.call("POST", "/apps/edge/machines", { region, ...mountedOn(id) });
  expect((await inRegion("fra")).status).toBe(400);
  expect((await inRegion("fra,eu")).body.region).toBe("ams");
});

test("one volume, one machine: a second create is a 412 that names the holder", async () => {
  await using fly = await withApp();
  const { id } = (await create(fly)).body;
  const machine = await fly.machine(mountedOn(id));
  expect(await fly.call("POST", "/apps/edge/machines", mountedOn(id))).toMatchObject({
    status: 412,
    body: { error: `failed_precondition: volume already claimed by machine ${machine.id}` },
  });
});

test("no room beside the volume is a 412 with its code", async () => {
  await using fly = await withApp();
  const { id, zone } = (await create(fly)).body;
  fly.fly.platform.full(zone);
  expect(await fly.call("POST", "/apps/edge/machines", mountedOn(id))).toMatchObject({
    status: 412,
    body: { error: expect.stringContaining(id), status: "volume_placement_capacity" },
  });
});

test("a full region has no room for a volume", async () => {
  await using fly = await withApp();
  fly.fly.platform.full("ams");
  expect(await create(fly)).toMatchObject({ status: 400, body: { error: "no capacity" } });
});

test("attached it cannot be deleted; after its machine it can, softly", async () => {
  await using fly = await withApp();
  const { id } = (await create(fly)).body;
  const machine = await fly.machine(mountedOn(id));
  expect(await fly.call("DELETE", `/apps/edge/volumes/${id}`)).toMatchObject({
    status: 412,
    body: { error: `failed_precondition: volume is currently bound to machine: ${machine.id}` },
  });
  await fly.call("DELETE", `/apps/edge/machines/${machine.id}?force=true`);
  await fly.call("GET", `/apps/edge/machines/${machine.id}/wait?state=destroyed`);
  expect(await fly.call("DELETE", `/apps/edge/volumes/${id}`)).toMatchObject({
    status: 200,
    body: { state: "pending_destroy", attached_machine_id: null },
  });
  expect((await fly.call("DELETE", `/apps/edge/volumes/${id}`)).status).toBe(200);
  expect((await fly.call("GET", "/apps/edge/volumes")).body).toMatchObject([{ id, state: "pending_destroy" }]);
  expect((await fly.call("POST", "/apps/edge/machines", mountedOn(id))).body.error).toBe("volume not found");
  expect((await fly.call("GET", "/apps/edge")).body.volume_count).toBe(0);
  await fly.clock.advance(25 * 3_600_000);
  expect((await fly.call("GET", `/apps/edge/volumes/${id}`)).status).toBe(404);
  expect(fly.runner.volumes.size).toBe(0);
});

test("it grows, and never shrinks", async () => {
  await using fly = await withApp();
  const { id } = (await create(fly, { size_gb: 2 })).body;
  const extend = (size_gb: unknown) => fly.call("PUT", `/apps/edge/volumes/${id}/extend`, { size_gb });
  expect(await extend(5)).toMatchObject({ status: 200, body: { volume: { id, size_gb: 5 }, needs_restart: false } });
  for (const size of [4, 5, 501, "6"]) expect((await extend(size)).status).toBe(400);
  expect((await fly.call("GET", `/apps/edge/volumes/${id}`)).body.size_gb).toBe(5);
  expect(fly.runner.volumes.get(id)).toBe(5);
});

test("retention and backups can be changed, the rest of a PUT is ignored", async () => {
  await using fly = await withApp();
  const { id } = (await create(fly)).body;
  const put = (body: unknown) => fly.call("PUT", `/apps/edge/volumes/${id}`, body);
  expect((await put({ snapshot_retention: 9, auto_backup_enabled: false, size_gb: 100 })).body).toMatchObject({
    snapshot_retention: 9,
    auto_backup_enabled: false,
    size_gb: 3,
  });
  expect((await put({ snapshot_retention: 61 })).status).toBe(400);
});

test("a snapshot waits, runs and exists; a second one at that time is a 412; a volume that was never mounted has none", async () => {
  await using fly = await withApp();
  const { id } = (await create(fly)).body;
  const path = `/apps/edge/volumes/${id}/snapshots`;
  expect((await fly.call("POST", path)).body.error).toContain("uninitialized volume");
  await fly.machine(mountedOn(id));
  expect((await fly.call("POST", path)).status).toBe(200);
  expect((await fly.call("POST", path)).body.error).toMatch(/^failed_precondition: snapshot is already scheduled at /);
  const status = async () => (await fly.call("GET", path)).body[0].status;
  expect(await status()).toBe("waiting");
  await fly.clock.advance(1500);
  expect(await status()).toBe("running");
  await fly.clock.advance(2000);
  expect((await fly.call("GET", path)).body).toMatchObject([
    { id: expect.stringMatching(/^vs_/), status: "created", volume_size: 3 * 2 ** 30, retention_days: 5 },
  ]);
});

test("a fork must be at least as large as its source", async () => {
  await using fly = await withApp();
  const { id, zone } = (await create(fly, { size_gb: 3 })).body;
  expect((await create(fly, { source_volume_id: id, size_gb: 2 })).status).toBe(400);
  const fork = (await create(fly, { source_volume_id: id, size_gb: 4 })).body;
  expect(fork).toMatchObject({ size_gb: 4, region: "ams" });
  expect(fork.zone).not.toBe(zone);
});

test("a volume of another app is not found under this one", async () => {
  await using fly = await withApp();
  const { id } = (await create(fly)).body;
  await fly.call("POST", "/apps", { name: "other", org_slug: "personal" });
  expect((await fly.call("GET", `/apps/other/volumes/${id}`)).body).toEqual({ error: "volume not found" });
});
