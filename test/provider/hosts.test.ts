/** Hosts: which one a PoP comes to lie on, one that is away or full, and what a machine that went still holds on to. */
import { expect, test } from "vitest";
import { machineConfig } from "../../components/machine-config.ts";
import { staleReadMs } from "../../fly/lag.ts";
import { addressHandler } from "../../providers/fly/address.ts";
import { type MachineOutputs, machineHandler } from "../../providers/fly/machine.ts";
import { volumeHandler } from "../../providers/fly/volume.ts";
import {
  app,
  type HandlerFixture,
  handlerFixture,
  image,
  machineInputs,
  volumeInputs,
  withImage,
} from "../support/context.ts";
import { errorMessage } from "../support/error-message.ts";

async function pop(options: Parameters<typeof handlerFixture>[0] = {}) {
  const fixture = await handlerFixture(options);
  const volume = await volumeHandler.create(volumeInputs(), fixture.context);
  const inputs = machineInputs(volume.id);
  const { id, outs } = await machineHandler.create(inputs, fixture.context);
  fixture.local.fly.calls.clear();
  fixture.logLines.length = 0;
  const zone = fixture.local.machines()[0]?.zone ?? "";
  const { platform } = fixture.local.fly;
  return Object.assign(fixture, { id, outs, inputs, volume, zone, platform });
}

const routes = ({ local }: HandlerFixture) => local.fly.calls.list.map(({ route }) => route);
const alive = ({ local }: HandlerFixture) => local.machines().filter(({ state }) => state !== "destroyed");
const replica = (n: number) => volumeInputs({ pop: `cdg-${n}`, name: `pop_cdg_${n}` });

// Apart

test("replicas of a region lie on different hosts", async () => {
  await using fixture = await handlerFixture();
  for (const n of [1, 2, 3]) await volumeHandler.create(replica(n), fixture.context);
  expect(new Set(fixture.local.volumes().map(({ zone }) => zone)).size).toBe(3);
  expect(fixture.logLines).toEqual([]);
});

test("with no host left they share one, and it is said with whom", async () => {
  await using fixture = await handlerFixture();
  for (const zone of ["cdg-02", "cdg-03", "cdg-04"]) fixture.local.fly.platform.full(zone);
  const first = await volumeHandler.create(replica(1), fixture.context);
  const second = await volumeHandler.create(replica(2), fixture.context);
  expect([first.outs.zone, second.outs.zone]).toEqual(["cdg-01", "cdg-01"]);
  expect(fixture.logLines).toEqual([
    `cdg-2: Fly has no host left in cdg without a volume of my-edge, so cdg-2 is on cdg-01 beside pop_cdg_1 (${first.id}). If that host fails, both are down. Once there is another host: npx fly-pops replace cdg-2`,
  ]);
});

test("an answer that was lost is settled before a second volume is asked for", async () => {
  await using fixture = await handlerFixture();
  fixture.local.faults.next("POST volumes", "drop response");
  await volumeHandler.create(replica(1), fixture.context);
  expect(fixture.local.calls("POST", "volumes")).toBe(1);
  expect(fixture.local.volumes()).toHaveLength(1);
});

test("a refusal that came after the deed makes no second volume", async () => {
  await using fixture = await handlerFixture();
  fixture.local.faults.next("POST volumes", { kind: "status", status: 412, after: true });
  await volumeHandler.create(replica(1), fixture.context);
  expect(fixture.local.volumes()).toHaveLength(1);
});

// A host that is away

test("an update of a machine whose host is away is skipped, kept as not complete, and done by the next run", async () => {
  await using fixture = await pop();
  fixture.platform.hostDown(fixture.zone);
  expect(await machineHandler.read(fixture.id, fixture.outs, fixture.context)).toEqual({
    outs: fixture.outs,
    inputs: fixture.inputs,
  });
  fixture.logLines.length = 0;
  const wanted = withImage(fixture.inputs, 2);
  const outs = await machineHandler.update(fixture.id, fixture.outs, wanted, fixture.context);
  expect(outs).toEqual({ ...fixture.outs, complete: false });
  expect(machineHandler.isPartial(outs)).toBe(true);
  expect(fixture.logLines).toEqual([
    `cdg-1: skipped, the host of machine ${fixture.id} does not answer. Nothing was changed there; the other PoPs are updated. Run again when https://status.flyio.net reports that the host is back. If it stays down: npx fly-pops replace cdg-1`,
  ]);
  expect(fixture.local.calls("POST")).toBe(0);

  fixture.platform.hostUp(fixture.zone);
  const done = await machineHandler.update(fixture.id, outs, wanted, fixture.context);
  expect(done).toMatchObject({ complete: true, config: { image: wanted.config.image } });
});

test("a host that takes no changes, though it answers, is skipped too", async () => {
  await using fixture = await pop();
  const body = { error: "unavailable: deploys to this host are temporarily disabled" };
  fixture.local.faults.next("POST machines/:id/lease", { kind: "status", status: 503, body });
  const outs = await machineHandler.update(fixture.id, fixture.outs, withImage(fixture.inputs, 2), fixture.context);
  expect(outs.complete).toBe(false);
  expect(fixture.logLines[0]).toMatch(/^cdg-1: skipped, .* Nothing was changed there;/);
});

test("a host that goes away in the middle of an update costs its own PoP only, and nothing is claimed of it", async () => {
  await using fixture = await pop();
  const wanted = withImage(fixture.inputs, 2);
  const stop = fixture.local.fly.watch(() => {
    if (fixture.local.machines()[0]?.state === "replacing") fixture.platform.hostDown(fixture.zone);
  });
  const outs = await machineHandler.update(fixture.id, fixture.outs, wanted, fixture.context);
  stop();
  expect(outs.complete).toBe(false);
  expect(fixture.logLines.at(-1)).toMatch(
    /^cdg-1: skipped, .* It went down during the update, so it is not known which version runs/,
  );
  fixture.platform.hostUp(fixture.zone);
  const done = await machineHandler.update(fixture.id, outs, wanted, fixture.context);
  expect(done).toMatchObject({ complete: true, config: { image: wanted.config.image } });
});

test("a failure that is the version's own stays a failure", async () => {
  await using fixture = await pop();
  fixture.local.runner.image(withImage(fixture.inputs, 2).config.image ?? "", { boot: "fails" });
  expect(
    await errorMessage(machineHandler.update(fixture.id, fixture.outs, withImage(fixture.inputs, 2), fixture.context)),
  ).toMatch(/^cdg-1: update undone/);
});

test("a machine found by its name on a host that is away is taken over once the host is back", async () => {
  await using fixture = await pop();
  fixture.platform.hostDown(fixture.zone);
  const { id, outs } = await machineHandler.create(fixture.inputs, fixture.context);
  expect({ id, complete: outs.complete }).toEqual({ id: fixture.id, complete: false });
  fixture.platform.hostUp(fixture.zone);
  expect(await machineHandler.update(id, outs, fixture.inputs, fixture.context)).toMatchObject({ complete: true });
});

test("a volume whose host is away is extended by the next run", async () => {
  await using fixture = await pop();
  fixture.platform.hostDown(fixture.zone);
  const wanted = volumeInputs({ sizeGb: 5 });
  const outs = await volumeHandler.update(fixture.volume.id, fixture.volume.outs, wanted, fixture.context);
  expect(outs).toMatchObject({ sizeGb: 3, complete: false });
  expect(volumeHandler.isPartial(outs)).toBe(true);
  expect(fixture.logLines[0]).toMatch(
    /^cdg-1: volume vol_\w+ was not extended: its host does not answer\. Nothing was changed/,
  );
  fixture.platform.hostUp(fixture.zone);
  const done = await volumeHandler.update(fixture.volume.id, outs, wanted, fixture.context);
  expect(done.sizeGb).toBe(5);
  expect(volumeHandler.isPartial(done)).toBe(false);
  expect(fixture.local.volumes()[0]?.sizeGb).toBe(5);
});

test("a PoP on a host that is away is taken out by the forced delete, where Fly takes it", async () => {
  await using fixture = await pop({ quirks: { deletesUnreachable: true } });
  fixture.platform.hostDown(fixture.zone);
  await machineHandler.delete(fixture.id, fixture.outs, fixture.context);
  expect(routes(fixture).slice(0, 2)).toEqual(["GET machines/:id", "DELETE machines/:id"]);
  expect(fixture.local.machines()[0]?.state).toMatch(/^destroy/);
});

test("where Fly refuses that too, the way out is said", async () => {
  await using fixture = await pop();
  fixture.platform.hostDown(fixture.zone);
  const sentence = await errorMessage(machineHandler.delete(fixture.id, fixture.outs, fixture.context));
  expect(sentence).toMatch(/^cdg-1: machine [0-9a-f]{14} was not deleted: its host does not answer and Fly refused/);
  expect(sentence).toContain("npx pulumi state delete URN");
  expect(sentence).toContain("edge-cdg-1-machine");
  const volume = await errorMessage(volumeHandler.delete(fixture.volume.id, fixture.volume.outs, fixture.context));
  expect(volume).toMatch(/^cdg-1: volume vol_\w+ was not deleted: its host does not answer/);
  expect(volume).toContain("edge-cdg-1-volume");
});

test.each(["cordon", "stop"])("a %s that answers 5xx leads to the forced delete", async (verb) => {
  await using fixture = await pop();
  const body = { error: "unavailable: deploys to this host are temporarily disabled" };
  fixture.local.faults.next(`POST machines/:id/${verb}`, { kind: "status", status: 503, body });
  await machineHandler.delete(fixture.id, fixture.outs, fixture.context);
  expect(fixture.local.calls("DELETE", "machines/:id")).toBe(1);
  await fixture.local.clock.advance(10_000);
  expect(alive(fixture)).toEqual([]);
});

// What a machine that went still has

test("a machine is made again at once after the old one went: name and volume are waited for", async () => {
  await using fixture = await pop();
  await machineHandler.delete(fixture.id, fixture.outs, fixture.context);
  const again = await machineHandler.create(fixture.inputs, fixture.context);
  expect(again.id).not.toBe(fixture.id);
  expect(again.outs).toMatchObject({ complete: true, state: "started" });
});

test("so it is when the old one was destroyed by hand a moment ago", async () => {
  await using fixture = await pop();
  await fixture.local.call("DELETE", `/apps/${app}/machines/${fixture.id}?force=true`);
  const again = await machineHandler.create(fixture.inputs, fixture.context);
  expect(again.outs.state).toBe("started");
  expect(fixture.logLines.filter((line) => /still held/.test(line))).toEqual([
    `cdg-1: volume ${fixture.inputs.volume} is still held by a deleted machine, waiting until Fly releases it`,
  ]);
});

test("a name that is held without its volume is waited for", async () => {
  await using fixture = await handlerFixture({ quirks: { destroyingMs: 60_000 } });
  const other = await fixture.local.call("POST", `/apps/${app}/machines`, {
    name: "cdg-1",
    config: { image: "nginx" },
  });
  await fixture.local.call("DELETE", `/apps/${app}/machines/${other.body.id}?force=true`);
  const volume = await volumeHandler.create(volumeInputs(), fixture.context);
  const { outs } = await machineHandler.create(machineInputs(volume.id), fixture.context);
  expect(outs.state).toBe("started");
  expect(fixture.logLines).toContain(
    "cdg-1: name cdg-1 is still held by a deleted machine, waiting until Fly releases it",
  );
});

test("after the timeout the error says who holds what, and the next run goes on", async () => {
  await using fixture = await pop({ quirks: { boundMs: 400_000 } });
  await fixture.local.call("DELETE", `/apps/${app}/machines/${fixture.id}?force=true`);
  expect(await errorMessage(machineHandler.create(fixture.inputs, fixture.context))).toMatch(
    /^cdg-1: no machine created, volume vol_\w+ is still held by a deleted machine after 150 s \(.*claimed by machine [0-9a-f]{14}.*\)\. Run again\.$/,
  );
  await fixture.local.clock.advance(300_000);
  await machineHandler.create(fixture.inputs, fixture.context);
  expect(alive(fixture)).toHaveLength(1);
});

test("a live machine of another owner is not waited for", async () => {
  await using fixture = await handlerFixture();
  const volume = await volumeHandler.create(volumeInputs(), fixture.context);
  const config = { image: "nginx", mounts: [{ volume: volume.id, path: "/v" }] };
  await fixture.local.call("POST", `/apps/${app}/machines`, { name: "stranger", config });
  const before = fixture.local.clock.now();
  expect(await errorMessage(machineHandler.create(machineInputs(volume.id), fixture.context))).toContain(
    "That machine is not this PoP's and was not changed",
  );
  // No longer than a read may lag, which might have hidden a machine of our own.
  expect(fixture.local.clock.now() - before).toBeLessThanOrEqual(staleReadMs);
});

test("a delete ends when the machine is destroyed and its volume free, so that the next step finds both", async () => {
  await using fixture = await pop();
  await machineHandler.delete(fixture.id, fixture.outs, fixture.context);
  const { body } = await fixture.local.call("GET", `/apps/${app}/volumes/${fixture.inputs.volume}`);
  expect(body.attached_machine_id).toBeNull();
  expect(fixture.local.machines()[0]?.state).toBe("destroyed");
});

// A volume that no machine can be made beside

test("a volume on a full host: the sentence names the command that gives it up", async () => {
  await using fixture = await handlerFixture();
  const volume = await volumeHandler.create(volumeInputs(), fixture.context);
  fixture.local.fly.platform.full(volume.outs.zone ?? "");
  for (const _ of [1, 2])
    expect(await errorMessage(machineHandler.create(machineInputs(volume.id), fixture.context))).toMatch(
      /^cdg-1: no machine created: no capacity beside volume vol_\w+ in cdg .*If its host stays full: npx fly-pops replace cdg-1 abandons the volume/,
    );
});

test("a volume that reads and cannot be mounted: likewise", async () => {
  await using fixture = await handlerFixture();
  const volume = await volumeHandler.create(volumeInputs(), fixture.context);
  fixture.local.fly.platform.wedge(volume.id);
  expect(await errorMessage(machineHandler.create(machineInputs(volume.id), fixture.context))).toMatch(
    /^cdg-1: no machine created: Fly shows volume vol_\w+ but cannot mount it .* npx fly-pops replace cdg-1 abandons/,
  );
  await fixture.local.call("DELETE", `/apps/${app}/volumes/${volume.id}`);
  expect(await errorMessage(machineHandler.create(machineInputs(volume.id), fixture.context))).toMatch(
    /^cdg-1: no machine created: volume vol_\w+ is gone .* npx pulumi up --refresh notes that and creates another/,
  );
});

test("a volume that was given up counts as gone, whatever Fly says of it", async () => {
  await using fixture = await handlerFixture();
  const old = await volumeHandler.create(volumeInputs(), fixture.context);
  fixture.local.fly.platform.hostDown(old.outs.zone ?? "");
  const context = { ...fixture.context, givenUp: new Set([old.id]) };
  expect(await volumeHandler.read(old.id, old.outs, context)).toBeUndefined();
  const fresh = await volumeHandler.create(volumeInputs(), context);
  expect(fresh.id).not.toBe(old.id);
  expect(fresh.outs.zone).not.toBe(old.outs.zone);
});

test("an egress address that was assigned by hand is not an address of the edge", async () => {
  await using fixture = await handlerFixture();
  for (const type of ["egress_v4", "egress_v6"])
    await fixture.local.call("POST", `/apps/${app}/ip_assignments`, { type });
  const { id } = await addressHandler.create({ app, type: "v4" }, fixture.context);
  expect(id).toBe("203.0.113.1");
  await addressHandler.delete(id, { app, type: "v4", schemaVersion: 1, ip: id }, fixture.context);
  expect((await fixture.context.fly.listAddresses(app)).map(({ egress }) => egress)).toEqual([true, true]);
});

// Growth that asks for a restart

test("the machine boots again after its volume has grown, verified as any update, so that its file system grows", async () => {
  // What the test reads without a cookie must not lag.
  await using fixture = await handlerFixture({ quirks: { replicas: 1 } });
  const shape = { name: "cdg-1", cpuKind: "shared", cpus: 1, memoryMb: 256 } as const;
  const config = (volumeGb: number) => machineConfig({ ...shape, volumeGb }, image(1));
  const volume = await volumeHandler.create(volumeInputs(), fixture.context);
  const inputs = machineInputs(volume.id, { config: config(3) });
  const { id, outs } = await machineHandler.create(inputs, fixture.context);
  const bytes = async () => (await fixture.local.call("GET", `/apps/${app}/volumes/${volume.id}`)).body.bytes_total;

  await volumeHandler.update(volume.id, volume.outs, volumeInputs({ sizeGb: 5 }), fixture.context);
  expect(fixture.logLines.at(-1)).toMatch(/from 3 to 5 GB; its file system grows when its machine boots again/);
  expect(await bytes()).toBe(3 * 2 ** 30);
  const wanted = { ...inputs, config: config(5) };
  const updated: MachineOutputs = await machineHandler.update(id, outs, wanted, fixture.context);
  expect(updated.instanceId).not.toBe(outs.instanceId);
  expect(updated).toMatchObject({ complete: true, state: "started" });
  expect(await bytes()).toBe(5 * 2 ** 30);
  expect((await machineHandler.read(id, updated, fixture.context))?.inputs).toEqual(wanted);
});
