import { expect, test } from "vitest";
import { machineHandler } from "../../providers/fly/machine.ts";
import { type VolumeOutputs, volumeHandler } from "../../providers/fly/volume.ts";
import { replacementKeys } from "../../providers/handler.ts";
import {
  app,
  type HandlerFixture,
  handlerFixture,
  machineInputs,
  volumeInputs,
  withImage,
} from "../support/context.ts";
import { errorMessage } from "../support/error-message.ts";

const state = (over: Partial<VolumeOutputs> = {}): VolumeOutputs => ({
  ...volumeInputs(),
  schemaVersion: 1,
  zone: "cdg-01",
  ...over,
});
const live = ({ local }: HandlerFixture) => local.volumes().filter((it) => it.state === "created");

test("a volume is asked room for, then made with a hint of the machine to come", async () => {
  await using fixture = await handlerFixture();
  const { id, outs } = await volumeHandler.create(volumeInputs(), fixture.context);
  expect(live(fixture)).toMatchObject([{ id, name: "pop_cdg_1", region: "cdg", sizeGb: 3 }]);
  expect(outs.zone).toMatch(/^cdg-/);
  expect(fixture.local.fly.calls.list.map(({ route, body }) => [route, body])).toEqual([
    ["GET volumes", ""],
    // It was empty, which Fly has said by mistake: asked again, and what Fly counts.
    ["GET volumes", ""],
    ["GET apps/:app", ""],
    [
      "POST platform/placements",
      {
        region: "cdg",
        compute: { cpu_kind: "shared", cpus: 1, memory_mb: 256 },
        count: 1,
        volume_name: "pop_cdg_1",
        volume_size_bytes: 3 * 1024 ** 3,
        org_slug: "personal",
      },
    ],
    [
      "POST volumes",
      {
        name: "pop_cdg_1",
        region: "cdg",
        size_gb: 3,
        encrypted: true,
        compute: { cpu_kind: "shared", cpus: 1, memory_mb: 256 },
        auto_backup_enabled: false,
        unique_zone_app_wide: true,
      },
    ],
  ]);
});

test("a create whose answer was lost is found again, not repeated", async () => {
  await using fixture = await handlerFixture();
  fixture.local.faults.next("POST volumes", "drop response");
  const { id } = await volumeHandler.create(volumeInputs(), fixture.context);
  expect(fixture.local.calls("POST", "volumes")).toBe(1);
  expect(live(fixture).map((it) => it.id)).toEqual([id]);
});

test("a create that never arrived is reported as such, and repeated by the next run", async () => {
  await using fixture = await handlerFixture();
  fixture.local.faults.next("POST volumes", "drop request");
  expect(await errorMessage(volumeHandler.create(volumeInputs(), fixture.context))).toMatch(
    /^create volume pop_cdg_1 in cdg: no response from Fly/,
  );
  expect(live(fixture)).toEqual([]);
  await volumeHandler.create(volumeInputs(), fixture.context);
  expect(live(fixture)).toHaveLength(1);
});

test("a volume of the name in another region is another volume", async () => {
  await using fixture = await handlerFixture();
  await volumeHandler.create(volumeInputs({ region: "ewr" }), fixture.context);
  await volumeHandler.create(volumeInputs(), fixture.context);
  expect(
    live(fixture)
      .map((it) => it.region)
      .toSorted(),
  ).toEqual(["cdg", "ewr"]);
});

test("two volumes that could be meant are refused, both named", async () => {
  await using fixture = await handlerFixture();
  const ids = [];
  for (let index = 0; index < 2; index++)
    ids.push((await fixture.local.call("POST", `/apps/${app}/volumes`, { name: "pop_cdg_1", region: "cdg" })).body.id);
  expect(await errorMessage(volumeHandler.create(volumeInputs(), fixture.context))).toMatch(
    new RegExp(
      `^cdg-1: my-edge has 2 volumes pop_cdg_1 in cdg \\((${ids.join(", ")}|${ids.toReversed().join(", ")})\\), .*None was adopted\\.`,
    ),
  );
});

test("a full region is refused before anything is made, with the options", async () => {
  await using fixture = await handlerFixture();
  fixture.local.fly.platform.full("cdg");
  expect(await errorMessage(volumeHandler.create(volumeInputs(), fixture.context))).toBe(
    "cdg-1: no volume created, cdg has no capacity for 3 GB and its machine (by the placement query). Try again later, or choose a smaller volumeGb or size, or another region.",
  );
  expect(fixture.local.calls("POST", "volumes")).toBe(0);
});

test.each([404, 500, 501])("an API that answers %i to the question of room is not asked to mean no", async (status) => {
  await using fixture = await handlerFixture();
  fixture.local.faults.next("POST platform/placements", { kind: "status", status });
  await volumeHandler.create(volumeInputs(), fixture.context);
  expect(live(fixture)).toHaveLength(1);
});

test.each([
  [400, { error: "no capacity" }],
  [412, { error: "insufficient resources to create", status: "volume_placement_capacity" }],
  [422, { error: "could not find a candidate host", status: "insufficient_capacity" }],
  [
    403,
    {
      error:
        'organization "x" is using 1 MB of memory in dfw which is over the allowed quota. please consider other regions',
    },
  ],
])("the create's %i that means no room is one sentence with Fly's words", async (status, body) => {
  await using fixture = await handlerFixture();
  fixture.local.faults.add({ match: "POST volumes", times: 2, fault: { kind: "status", status, body } });
  const sentence = await errorMessage(volumeHandler.create(volumeInputs(), fixture.context));
  expect(sentence).toMatch(/^cdg-1: no volume created, cdg has no capacity for 3 GB and its machine \(create volume/);
  expect(sentence).toContain(body.error);
});

test("a volume grows in place; one that was grown by hand is not shrunk", async () => {
  await using fixture = await handlerFixture();
  const { id, outs } = await volumeHandler.create(volumeInputs(), fixture.context);
  const grown = await volumeHandler.update(id, outs, volumeInputs({ sizeGb: 5 }), fixture.context);
  expect(grown.sizeGb).toBe(5);
  expect(live(fixture)).toMatchObject([{ id, sizeGb: 5 }]);
  expect(volumeHandler.check(volumeInputs({ sizeGb: 5 }), volumeInputs({ sizeGb: 3 }))).toEqual([
    {
      property: "sizeGb",
      reason:
        "cdg-1: the volume has 5 GB and a volume cannot shrink, so volumeGb cannot become 3. Set it to 5, or remove the PoP and create it again.",
    },
  ]);
});

test("a volume of another place may be smaller: it is another volume", () => {
  expect(volumeHandler.check(volumeInputs({ sizeGb: 5 }), volumeInputs({ sizeGb: 3, region: "ewr" }))).toEqual([]);
  expect(volumeHandler.check(undefined, volumeInputs({ sizeGb: 1 }))).toEqual([]);
});

test.each([
  ["app", "other", ["app"]],
  ["name", "other", ["name"]],
  ["region", "ewr", ["region"]],
  ["sizeGb", 9, []],
  ["guest", { cpu_kind: "shared", cpus: 2, memory_mb: 512 }, []],
  ["pop", "x", []],
  ["organization", "x", []],
])("changing %s to %j replaces %j", (key, value, replaces) => {
  expect(replacementKeys(volumeHandler.lifecycle, state(), { ...volumeInputs(), [key]: value })).toEqual(replaces);
});

test("what was just made shows no drift, what grew by hand does, what is gone is gone", async () => {
  await using fixture = await handlerFixture();
  const { id, outs } = await volumeHandler.create(volumeInputs(), fixture.context);
  expect(await volumeHandler.read(id, outs, fixture.context)).toEqual({ id, outs, inputs: volumeInputs() });
  await fixture.local.call("PUT", `/apps/${app}/volumes/${id}/extend`, { size_gb: 7 });
  expect((await volumeHandler.read(id, outs, fixture.context))?.inputs).toEqual(volumeInputs({ sizeGb: 7 }));
  await fixture.local.call("DELETE", `/apps/${app}/volumes/${id}`);
  expect(await volumeHandler.read(id, outs, fixture.context)).toBeUndefined();
});

test("a volume that Fly moved to another host is taken over under its new id, with its machine", async () => {
  await using fixture = await handlerFixture();
  const { id, outs } = await volumeHandler.create(volumeInputs(), fixture.context);
  const inputs = machineInputs(id);
  const machine = await machineHandler.create(inputs, fixture.context);
  const { volume: moved } = await fixture.local.fly.platform.migrate(machine.id);
  expect(moved).not.toBe(id);

  const read = await volumeHandler.read(id, outs, fixture.context);
  expect(read?.id).toBe(moved);
  expect(fixture.logLines).toContain(`cdg-1: Fly moved volume ${id} to another host, where its id is ${moved}`);
  const seen = await machineHandler.read(machine.id, machine.outs, fixture.context);
  expect(seen?.inputs).toEqual({ ...inputs, volume: moved });
  // Without a refresh in between, an update goes to the volume the machine has.
  const updated = await machineHandler.update(
    machine.id,
    machine.outs,
    { ...inputs, config: { ...inputs.config, env: { A: "b" } } },
    fixture.context,
  );
  expect(updated.complete).toBe(true);

  await machineHandler.delete(machine.id, machine.outs, fixture.context);
  await volumeHandler.delete(id, outs, fixture.context);
  expect(live(fixture)).toEqual([]);
});

test("a delete waits until the machine has let go", async () => {
  await using fixture = await handlerFixture({ quirks: { boundMs: 90_000 } });
  const { id, outs } = await volumeHandler.create(volumeInputs(), fixture.context);
  const machine = await machineHandler.create(machineInputs(id), fixture.context);
  await machineHandler.delete(machine.id, machine.outs, fixture.context);
  await volumeHandler.delete(id, outs, fixture.context);
  expect(live(fixture)).toEqual([]);
});

test("a delete of what is gone is done", async () => {
  await using fixture = await handlerFixture();
  await volumeHandler.delete("vol_gone", state(), fixture.context);
  expect(fixture.local.calls("DELETE", "volumes/:id")).toBe(1);
});

test("a volume made by hand is taken over by its id, and grown", async () => {
  await using fixture = await handlerFixture();
  const { body } = await fixture.local.call("POST", `/apps/${app}/volumes`, {
    name: "old_data",
    region: "cdg",
    size_gb: 1,
  });
  const { id } = await volumeHandler.create(volumeInputs({ adopt: body.id }), fixture.context);
  expect(id).toBe(body.id);
  expect(live(fixture)).toMatchObject([{ id, name: "old_data", sizeGb: 3 }]);
});

test.each([
  [{ region: "ewr" }, "it is in ewr, not in cdg"],
  [{ region: "cdg", size_gb: 9 }, "it has 9 GB and cannot shrink: set volumeGb: 9"],
])("a volume of %o is not adopted", async (volume, reason) => {
  await using fixture = await handlerFixture();
  const { body } = await fixture.local.call("POST", `/apps/${app}/volumes`, { name: "old_data", ...volume });
  expect(await errorMessage(volumeHandler.create(volumeInputs({ adopt: body.id }), fixture.context))).toBe(
    `cdg-1: volume ${body.id} cannot be adopted, ${reason}. It was not changed. Correct fly-pops:adopt.`,
  );
  expect(live(fixture)).toHaveLength(1);
});

const snapshots = (fixture: HandlerFixture) =>
  live(fixture).map(({ autoBackup, snapshotRetention }) => (autoBackup ? snapshotRetention : 0));

test("no snapshots unless they are asked for, and then for as long", async () => {
  await using fixture = await handlerFixture();
  await volumeHandler.create(volumeInputs(), fixture.context);
  await volumeHandler.create(volumeInputs({ name: "pop_ewr_1", snapshotDays: 7 }), fixture.context);
  expect(snapshots(fixture)).toEqual([0, 7]);
});

test("a volume with Fly's own snapshots is taken over without them", async () => {
  await using fixture = await handlerFixture();
  const { body } = await fixture.local.call("POST", `/apps/${app}/volumes`, {
    name: "pop_cdg_1",
    region: "cdg",
    size_gb: 3,
  });
  expect(snapshots(fixture)).toEqual([5]);
  const { id } = await volumeHandler.create(volumeInputs(), fixture.context);
  expect(id).toBe(body.id);
  expect(snapshots(fixture)).toEqual([0]);
  expect(fixture.logLines.join()).toContain("cdg-1: Fly takes no snapshots of volume");
});

test("snapshots that were changed by hand, or never configured, are detected and corrected", async () => {
  await using fixture = await handlerFixture();
  const { id, outs } = await volumeHandler.create(volumeInputs(), fixture.context);
  await fixture.local.call("PUT", `/apps/${app}/volumes/${id}`, { auto_backup_enabled: true, snapshot_retention: 30 });
  const found = await volumeHandler.read(id, outs, fixture.context);
  expect(found?.inputs).toEqual(volumeInputs({ snapshotDays: 30 }));
  const { snapshotDays: _, ...unspoken } = outs;
  for (const olds of [found?.outs, unspoken]) {
    await volumeHandler.update(id, olds as VolumeOutputs, volumeInputs(), fixture.context);
    expect(snapshots(fixture)).toEqual([0]);
    await fixture.local.call("PUT", `/apps/${app}/volumes/${id}`, { auto_backup_enabled: true });
  }
});

test("a volume that Fly moved in between gets its snapshots under its new id", async () => {
  await using fixture = await handlerFixture();
  const { id, outs } = await volumeHandler.create(volumeInputs(), fixture.context);
  const machine = await machineHandler.create(machineInputs(id), fixture.context);
  await fixture.local.fly.platform.migrate(machine.id);
  const after = await volumeHandler.update(id, outs, volumeInputs({ snapshotDays: 2 }), fixture.context);
  expect(after.snapshotDays).toBe(2);
  expect(snapshots(fixture)).toEqual([2]);
});

const warsaw = (over = {}) => volumeInputs({ region: "waw", name: "pop_waw_1", pop: "waw-1", ...over });

test("in a region that Fly closed nothing new is made, and what is there goes on", async () => {
  await using fixture = await handlerFixture({ settings: { closedRegions: ["waw"] } });
  expect(await errorMessage(volumeHandler.create(warsaw(), fixture.context))).toBe(
    "waw-1: no volume created, Fly takes no new machines in waw. Choose another region. The nearest that does is arn (Stockholm, 810 km).",
  );
  expect(live(fixture)).toEqual([]);
});

test("a volume of before the region was closed is found, grows, and gets its machine updated", async () => {
  const settings = { closedRegions: [] as string[] };
  await using fixture = await handlerFixture({ settings });
  const { id, outs } = await volumeHandler.create(warsaw(), fixture.context);
  const machine = machineInputs(id, { pop: "waw-1", name: "waw-1", region: "waw" });
  const { id: machineId, outs: machineOuts } = await machineHandler.create(machine, fixture.context);
  settings.closedRegions.push("waw");
  expect((await volumeHandler.create(warsaw(), fixture.context)).id).toBe(id);
  expect(await volumeHandler.update(id, outs, warsaw({ sizeGb: 5 }), fixture.context)).toMatchObject({ sizeGb: 5 });
  const after = await machineHandler.update(machineId, machineOuts, withImage(machine, 2), fixture.context);
  expect(after.complete).toBe(true);
});

test("Fly itself says whether a region is open; where it does not, our table does", async () => {
  await using open = await handlerFixture({ settings: { closedRegions: [] } });
  await volumeHandler.create(warsaw(), open.context);
  expect(live(open)).toHaveLength(1);
  await using silent = await handlerFixture({ settings: { closedRegions: [] } });
  silent.local.faults.next("GET platform/regions", { kind: "status", status: 404 } as never);
  expect(await errorMessage(volumeHandler.create(warsaw(), silent.context))).toMatch(
    /Fly takes no new machines in waw/,
  );
  await using usual = await handlerFixture();
  await volumeHandler.create(volumeInputs(), usual.context);
  expect(usual.local.calls("GET", "platform/regions")).toBe(0);
});
