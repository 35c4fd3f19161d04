import { expect, test } from "vitest";
import { type Behaviour, failingCheck, passingAfter } from "../../local/fly/runners/state-runner.ts";
import { type MachineOutputs, machineHandler, toWire } from "../../providers/fly/machine.ts";
import { volumeHandler } from "../../providers/fly/volume.ts";
import { PartialResourceError } from "../../providers/handler.ts";
import { createRolloutGate } from "../../providers/rollout-gate.ts";
import {
  app,
  type HandlerFixture,
  handlerFixture,
  image,
  machineInputs,
  volumeInputs,
  withImage,
} from "../support/context.ts";

/** A PoP that serves version 1 of its image. */
async function pop(
  options: Parameters<typeof handlerFixture>[0] = {},
): Promise<HandlerFixture & { id: string; outs: MachineOutputs; inputs: ReturnType<typeof machineInputs> }> {
  const fixture = await handlerFixture(options);
  const volume = await volumeHandler.create(volumeInputs(), fixture.context);
  const inputs = machineInputs(volume.id);
  const { id, outs } = await machineHandler.create(inputs, fixture.context);
  fixture.local.fly.calls.clear();
  return { ...fixture, id, outs, inputs };
}

const failure = async (work: Promise<unknown>): Promise<Error & { outs?: MachineOutputs }> => {
  try {
    await work;
  } catch (error) {
    return error as Error;
  }
  throw new Error("it succeeded");
};

const routes = ({ local }: HandlerFixture) => local.fly.calls.list.map(({ route }) => route);
/** Machines as they are now, each with the config of its version as it was sent. */
const lives = ({ local }: HandlerFixture) =>
  local
    .machines()
    .filter(({ state }) => state !== "destroyed")
    .map(({ id, name, region, state, cordoned, version, versions, lease }) => ({
      id,
      name,
      region,
      state,
      cordoned,
      lease,
      instanceId: version,
      sent: versions.find((it) => it.version === version)?.received,
    }));

test("a PoP is made with six calls, volume and machine, and serves", async () => {
  await using fixture = await handlerFixture();
  // Not the first one of its app: an empty list would be asked for twice.
  await volumeHandler.create(volumeInputs({ name: "pop_ewr_1", region: "ewr" }), fixture.context);
  fixture.local.fly.calls.clear();
  const volume = await volumeHandler.create(volumeInputs(), fixture.context);
  const { outs } = await machineHandler.create(machineInputs(volume.id), fixture.context);
  expect(routes(fixture)).toEqual([
    "GET volumes",
    "POST platform/placements",
    "POST volumes",
    "POST machines",
    "GET machines/:id/wait",
    "GET machines/:id",
  ]);
  expect(outs).toMatchObject({ state: "started", complete: true });
  expect(lives(fixture)).toMatchObject([{ name: "cdg-1", region: "cdg", instanceId: outs.instanceId }]);
});

test("what is posted is the config, its mount and its owner", async () => {
  await using fixture = await handlerFixture();
  const { id: volume } = await volumeHandler.create(volumeInputs(), fixture.context);
  const inputs = machineInputs(volume);
  await machineHandler.create(inputs, fixture.context);
  const posted = fixture.local.fly.calls.list.find(({ route }) => route === "POST machines");
  expect(posted?.body).toEqual({
    name: "cdg-1",
    region: "cdg",
    config: {
      ...inputs.config,
      mounts: [{ volume, path: "/var" }],
      metadata: { pops_stack: "me/fly-pops/prod", pops_pop: "cdg-1" },
    },
  });
});

test("a healthy update takes eight calls, in place, and says which version serves", async () => {
  // Rows of the version before, where Fly shows them, cost one read more.
  await using fixture = await pop({ quirks: { staleChecksMs: 0 } });
  const { id, outs, inputs } = fixture;
  const updated = await machineHandler.update(id, outs, withImage(inputs, 2), fixture.context);
  expect(routes(fixture)).toEqual([
    "GET machines/:id",
    "POST machines/:id/lease",
    "POST machines/:id/cordon",
    "POST machines/:id",
    "GET machines/:id/wait",
    "GET machines/:id",
    "POST machines/:id/uncordon",
    "DELETE machines/:id/lease",
  ]);
  const [machine] = lives(fixture);
  expect(machine).toMatchObject({ id, instanceId: updated.instanceId, cordoned: false, state: "started" });
  expect(updated.instanceId).not.toBe(outs.instanceId);
  expect(fixture.logLines.at(-1)).toBe(`cdg-1: version ${updated.instanceId} serves`);
});

test("the update is posted once, with the version it was computed from and the lease's nonce", async () => {
  await using fixture = await pop();
  await machineHandler.update(fixture.id, fixture.outs, withImage(fixture.inputs, 2), fixture.context);
  const posts = fixture.local.fly.calls.list.filter(({ route }) => route === "POST machines/:id");
  expect(posts.map(({ body }) => body)).toEqual([
    { config: toWire(withImage(fixture.inputs, 2)), current_version: fixture.outs.instanceId },
  ]);
});

test("the wait is pinned to the new version", async () => {
  await using fixture = await pop();
  const { instanceId } = await machineHandler.update(
    fixture.id,
    fixture.outs,
    withImage(fixture.inputs, 2),
    fixture.context,
  );
  const wait = fixture.local.fly.calls.list.find(({ route }) => route === "GET machines/:id/wait");
  expect(new URLSearchParams(wait?.query).get("version")).toBe(instanceId);
});

test("a check that takes its time is waited for", async () => {
  await using fixture = await pop();
  fixture.local.runner.image(image(2), { check: passingAfter(40_000) });
  const updated = await machineHandler.update(fixture.id, fixture.outs, withImage(fixture.inputs, 2), fixture.context);
  expect(updated.complete).toBe(true);
});

test.each([
  ["crashes at boot", { exits: { afterMs: 100, exitCode: 3 } }, "it exited with 3"],
  [
    "runs out of memory",
    { exits: { afterMs: 5_000, exitCode: 137, oomKilled: true }, check: passingAfter(20_000) },
    "it ran out of memory and was killed",
  ],
  [
    "never passes its check",
    { check: failingCheck },
    "not healthy in time: health is critical (connect: connection refused)",
  ],
] as const)("an image that %s is undone: the old one serves again, verified", async (_, behaviour, reason) => {
  await using fixture = await pop();
  fixture.local.runner.image(image(2), behaviour);
  const error = await failure(
    machineHandler.update(fixture.id, fixture.outs, withImage(fixture.inputs, 2), fixture.context),
  );
  expect(error).toBeInstanceOf(PartialResourceError);
  expect(error.message).toMatch(/^cdg-1: update undone after \d+ s, /);
  expect(error.message).toContain(reason);
  const [machine] = lives(fixture);
  expect(machine).toMatchObject({ state: "started", cordoned: false, sent: { image: image(1) } });
  expect(error.outs).toMatchObject({ instanceId: machine?.instanceId, config: { image: image(1) }, complete: false });
  expect(machine?.lease).toBeUndefined();
});

test("an old image under the new one's name is found out by the check, and the update undone", async () => {
  const madeFrom: Record<string, string> = { [image(1)]: "a".repeat(64) };
  const check: Behaviour["check"] = (_, __, { config: { image: runs = "", env } }) =>
    madeFrom[runs] === env?.POP_EXPECTED_CONTEXT
      ? { passing: true, output: "200 OK" }
      : {
          passing: false,
          output: 'answered 503: {"status":"failing","reason":"image: wrong image: expected context bbbb',
        };
  await using fixture = await handlerFixture({ behaviour: { check } });
  const volume = await volumeHandler.create(volumeInputs(), fixture.context);
  const of = (context: string) => {
    const inputs = machineInputs(volume.id);
    return { ...inputs, config: { ...inputs.config, env: { POP_NAME: "cdg-1", POP_EXPECTED_CONTEXT: context } } };
  };
  const { id, outs } = await machineHandler.create(of("a".repeat(64)), fixture.context);
  // Built again, and the digest of the last one returned.
  const error = await failure(machineHandler.update(id, outs, of("b".repeat(64)), fixture.context));
  expect(error).toBeInstanceOf(PartialResourceError);
  expect(error.message).toMatch(/^cdg-1: update undone after \d+ s, .*wrong image: expected context bbbb/);
  expect(lives(fixture)).toMatchObject([
    { state: "started", cordoned: false, sent: { image: image(1), env: { POP_EXPECTED_CONTEXT: "a".repeat(64) } } },
  ]);
  // With the image that was built it goes through.
  madeFrom[image(2)] = "b".repeat(64);
  const inputs = of("b".repeat(64));
  const nextRun = { ...fixture.context, rollout: createRolloutGate() };
  const done = await machineHandler.update(id, error.outs ?? outs, withImage(inputs, 2), nextRun);
  expect(done.complete).toBe(true);
});

test("an image that cannot be pulled ends at once with the old version serving", async () => {
  await using fixture = await pop();
  fixture.local.runner.image(image(2), { pull: "fails" });
  const error = await failure(
    machineHandler.update(fixture.id, fixture.outs, withImage(fixture.inputs, 2), fixture.context),
  );
  expect(error.message).toMatch(/^cdg-1: /);
  const [machine] = lives(fixture);
  expect(machine).toMatchObject({ state: "started", cordoned: false, sent: { image: image(1) } });
});

test("after a failed update the next run takes it up again", async () => {
  await using fixture = await pop();
  fixture.local.runner.image(image(2), { check: failingCheck });
  const error = await failure(
    machineHandler.update(fixture.id, fixture.outs, withImage(fixture.inputs, 2), fixture.context),
  );
  fixture.local.runner.image(image(2), undefined);
  const nextRun = { ...fixture.context, rollout: createRolloutGate() };
  const updated = await machineHandler.update(
    fixture.id,
    error.outs as MachineOutputs,
    withImage(fixture.inputs, 2),
    nextRun,
  );
  expect(updated).toMatchObject({ complete: true, config: { image: image(2) } });
  expect(lives(fixture)).toMatchObject([{ sent: { image: image(2) } }]);
});

test("a machine that exited and stays down is started by the update that fixes it", async () => {
  await using fixture = await pop();
  fixture.local.runner.machine(fixture.id, { exits: { afterMs: 100, exitCode: 1 } });
  await fixture.local.call("POST", `/apps/${app}/machines/${fixture.id}/restart`);
  await fixture.local.clock.advance(600_000);
  fixture.local.runner.machine(fixture.id, undefined);
  const updated = await machineHandler.update(fixture.id, fixture.outs, withImage(fixture.inputs, 2), fixture.context);
  expect(updated).toMatchObject({ complete: true, state: "started" });
});

test("a machine that failed to come up at all is kept, with its reason, for the next run", async () => {
  await using fixture = await handlerFixture();
  const { id: volume } = await volumeHandler.create(volumeInputs(), fixture.context);
  fixture.local.runner.image(image(1), { check: failingCheck });
  const error = await failure(machineHandler.create(machineInputs(volume), fixture.context));
  expect(error).toBeInstanceOf(PartialResourceError);
  expect(error.message).toMatch(/^cdg-1: machine [0-9a-f]{14} was created but does not serve: not healthy in time: /);
  expect(error.outs).toMatchObject({ complete: false });
  expect(lives(fixture)).toHaveLength(1);
});

test("a create whose answer was lost is found again, not repeated", async () => {
  await using fixture = await handlerFixture();
  const { id: volume } = await volumeHandler.create(volumeInputs(), fixture.context);
  fixture.local.faults.next("POST machines", "drop response");
  const { id } = await machineHandler.create(machineInputs(volume), fixture.context);
  expect(fixture.local.calls("POST", "machines")).toBe(1);
  expect(lives(fixture).map((it) => it.id)).toEqual([id]);
});

test("a create cut off before it arrived is not repeated either, and the next run makes it", async () => {
  await using fixture = await handlerFixture();
  const { id: volume } = await volumeHandler.create(volumeInputs(), fixture.context);
  fixture.local.faults.next("POST machines", "drop request");
  await failure(machineHandler.create(machineInputs(volume), fixture.context));
  expect(fixture.local.calls("POST", "machines")).toBe(1);
  await machineHandler.create(machineInputs(volume), fixture.context);
  expect(lives(fixture)).toHaveLength(1);
});

test("a run that was cut off after its create goes on with what it made", async () => {
  await using fixture = await pop();
  const again = await machineHandler.create(fixture.inputs, fixture.context);
  expect(again).toEqual({ id: fixture.id, outs: fixture.outs });
  expect(fixture.local.calls("POST", "machines/:id")).toBe(0);
  expect(lives(fixture)).toHaveLength(1);
});

test("a volume that another machine holds is refused, the machine named", async () => {
  await using fixture = await pop();
  const error = await failure(
    machineHandler.create({ ...fixture.inputs, pop: "cdg-2", name: "cdg-2" }, fixture.context),
  );
  expect(error.message).toContain(`claimed by machine ${fixture.id}`);
  expect(error.message).toMatch(/^cdg-2: no machine created: .*That machine is not this PoP's and was not changed\./);
  expect(lives(fixture)).toHaveLength(1);
});

test("a machine of the same name that belongs to another owner is refused, and the owner named", async () => {
  await using fixture = await pop();
  const { id: volume } = await volumeHandler.create(volumeInputs({ name: "other" }), fixture.context);
  const error = await failure(
    machineHandler.create(machineInputs(volume, { owner: "me/fly-pops/other" }), fixture.context),
  );
  expect(error.message).toBe(
    `cdg-1: ${app} has a machine named cdg-1 already (${fixture.id}), and it belongs to stack me/fly-pops/prod. It was not changed. Destroy or rename it, or choose another fly-pops:app.`,
  );
  expect(lives(fixture)).toMatchObject([{ id: fixture.id, instanceId: fixture.outs.instanceId }]);
});

test("a machine with the stack's former name is its own", async () => {
  await using fixture = await pop();
  const context = { ...fixture.context, formerNames: new Set([fixture.inputs.owner]) };
  const { id, outs } = await machineHandler.create({ ...fixture.inputs, owner: "me/fly-pops/renamed" }, context);
  expect({ id, owner: outs.owner }).toEqual({ id: fixture.id, owner: "me/fly-pops/renamed" });
  expect(lives(fixture)).toHaveLength(1);
});

test("an update whose answer was lost is settled by reading", async () => {
  await using fixture = await pop();
  fixture.local.faults.next("POST machines/:id", "drop response");
  const updated = await machineHandler.update(fixture.id, fixture.outs, withImage(fixture.inputs, 2), fixture.context);
  expect(fixture.local.calls("POST", "machines/:id")).toBe(1);
  expect(lives(fixture)).toMatchObject([{ instanceId: updated.instanceId, sent: { image: image(2) } }]);
});

test("a foreign lease is waited out", async () => {
  await using fixture = await pop();
  await fixture.local.call("POST", `/apps/${app}/machines/${fixture.id}/lease?ttl=30`);
  const updated = await machineHandler.update(fixture.id, fixture.outs, withImage(fixture.inputs, 2), fixture.context);
  expect(updated.complete).toBe(true);
});

test("a foreign lease that does not end is named, and nothing changes", async () => {
  await using fixture = await pop();
  await fixture.local.call("POST", `/apps/${app}/machines/${fixture.id}/lease?ttl=3600`);
  const error = await failure(
    machineHandler.update(fixture.id, fixture.outs, withImage(fixture.inputs, 2), fixture.context),
  );
  expect(error.message).toMatch(/^cdg-1: .*lease currently held by .*; waited 120 s for it\. It was not changed\./);
  expect(fixture.local.calls("POST", "machines/:id")).toBe(0);
});

test("a change of what only we care about makes no call", async () => {
  await using fixture = await pop();
  const outs = await machineHandler.update(
    fixture.id,
    fixture.outs,
    { ...fixture.inputs, timeoutSeconds: 5, drainSeconds: 0 },
    fixture.context,
  );
  expect(fixture.local.calls()).toBe(0);
  expect(outs).toEqual({ ...fixture.outs, timeoutSeconds: 5, drainSeconds: 0 });
});

test("a stopped machine gets its new config, is started and verified", async () => {
  await using fixture = await pop();
  await fixture.local.call("POST", `/apps/${app}/machines/${fixture.id}/stop`);
  await fixture.local.clock.advance(5_000);
  const updated = await machineHandler.update(fixture.id, fixture.outs, withImage(fixture.inputs, 2), fixture.context);
  expect(updated.state).toBe("started");
  expect(lives(fixture)).toMatchObject([{ state: "started", cordoned: false, sent: { image: image(2) } }]);
});

test("a stopped machine whose new version does not serve has its old configuration back, started and verified", async () => {
  await using fixture = await pop();
  fixture.local.runner.image(image(2), { check: failingCheck });
  await fixture.local.call("POST", `/apps/${app}/machines/${fixture.id}/stop`);
  await fixture.local.clock.advance(5_000);
  const error = await failure(
    machineHandler.update(fixture.id, fixture.outs, withImage(fixture.inputs, 2), fixture.context),
  );
  expect(error.message).toMatch(/^cdg-1: update undone after \d+ s, not healthy in time/);
  expect(error.outs).toMatchObject({ complete: false, state: "started" });
  expect(lives(fixture)).toMatchObject([{ state: "started", cordoned: false, sent: { image: image(1) } }]);
});

test("a stopped machine for whose new version there is no room is not said to go on serving", async () => {
  await using fixture = await pop();
  await fixture.local.call("POST", `/apps/${app}/machines/${fixture.id}/stop`);
  await fixture.local.clock.advance(5_000);
  const body = { error: "insufficient_capacity: no capacity" };
  fixture.local.faults.add({ match: "POST machines/:id", times: 9, fault: { kind: "status", status: 422, body } });
  const error = await failure(
    machineHandler.update(fixture.id, fixture.outs, withImage(fixture.inputs, 2), fixture.context),
  );
  expect(error.message).toContain("The old version is stopped as before.");
});

test("what was just made shows no drift", async () => {
  await using fixture = await pop();
  const read = await machineHandler.read(fixture.id, fixture.outs, fixture.context);
  expect(read).toEqual({ outs: fixture.outs, inputs: fixture.inputs });
});

test("what was changed by hand shows, field by field, and an update puts it back", async () => {
  await using fixture = await pop();
  const config = { ...toWire(fixture.inputs), env: { POP_NAME: "hacked" } };
  await fixture.local.call("POST", `/apps/${app}/machines/${fixture.id}`, { config });
  await fixture.local.clock.advance(5_000);
  const read = await machineHandler.read(fixture.id, fixture.outs, fixture.context);
  expect(read?.inputs).toEqual({
    ...fixture.inputs,
    config: { ...fixture.inputs.config, env: { POP_NAME: "hacked" } },
  });
  await machineHandler.update(fixture.id, read?.outs as MachineOutputs, fixture.inputs, fixture.context);
  expect(lives(fixture)).toMatchObject([{ sent: { env: { POP_NAME: "cdg-1" } } }]);
});

test("a machine that is gone reads as gone, and its delete is done", async () => {
  await using fixture = await pop();
  await fixture.local.call("DELETE", `/apps/${app}/machines/${fixture.id}?force=true`);
  await fixture.local.clock.advance(5_000);
  expect(await machineHandler.read(fixture.id, fixture.outs, fixture.context)).toBeUndefined();
  await machineHandler.delete(fixture.id, fixture.outs, fixture.context);
});

test("a delete takes the machine out of routing, lets it end, and removes it; its volume is free", async () => {
  await using fixture = await pop();
  await machineHandler.delete(fixture.id, fixture.outs, fixture.context);
  expect([...new Set(routes(fixture))]).toEqual([
    "GET machines/:id",
    "POST machines/:id/cordon",
    "POST machines/:id/stop",
    "GET machines/:id/wait",
    "DELETE machines/:id",
    "GET volumes/:id",
  ]);
  await volumeHandler.delete(
    fixture.inputs.volume,
    { ...volumeInputs(), schemaVersion: 1, zone: null },
    fixture.context,
  );
  expect(lives(fixture)).toEqual([]);
});

test("after a failure no further machine is touched", async () => {
  await using fixture = await pop();
  fixture.local.runner.image(image(2), { check: failingCheck });
  const second = { ...fixture.inputs, pop: "ams-1" };
  const [first, other] = await Promise.all([
    failure(machineHandler.update(fixture.id, fixture.outs, withImage(fixture.inputs, 2), fixture.context)),
    failure(machineHandler.update("other", fixture.outs, withImage(second, 2), fixture.context)),
  ]);
  expect(first.message).toMatch(/^cdg-1: update undone/);
  expect(other.message).toBe(
    "ams-1: not touched, because the update of cdg-1 failed. It still serves its old version. Fix cdg-1, then run again.",
  );
});

test("a machine made by hand is taken over in place, by its id", async () => {
  await using fixture = await handlerFixture();
  const { id: volume } = await volumeHandler.create(volumeInputs(), fixture.context);
  const { body } = await fixture.local.call("POST", `/apps/${app}/machines`, {
    name: "by-hand",
    region: "cdg",
    config: { image: image(7), mounts: [{ volume, path: "/data" }] },
  });
  await fixture.local.clock.advance(5_000);
  const { id, outs } = await machineHandler.create(machineInputs(volume, { adopt: body.id }), fixture.context);
  expect(id).toBe(body.id);
  expect(outs.complete).toBe(true);
  expect(lives(fixture)).toMatchObject([{ id, name: "by-hand", sent: toWire(machineInputs(volume)) }]);
});

test.each<
  [
    string,
    (
      fixture: HandlerFixture & { id: string; inputs: ReturnType<typeof machineInputs> },
    ) => Partial<ReturnType<typeof machineInputs>>,
    string,
  ]
>([
  ["that is not there", () => ({ adopt: "00000000000000" }), "my-edge has no such machine"],
  ["of another stack", ({ id }) => ({ adopt: id, owner: "me/fly-pops/other" }), "it belongs to stack me/fly-pops/prod"],
  ["in another region", ({ id }) => ({ adopt: id, region: "ewr" }), "it runs in cdg, not in ewr"],
  ["with another volume", ({ id }) => ({ adopt: id, volume: "vol_other" }), "a mount cannot be changed"],
])("a machine %s is not adopted, and nothing changes", async (_, over, reason) => {
  await using fixture = await pop();
  const error = await failure(machineHandler.create({ ...fixture.inputs, ...over(fixture) }, fixture.context));
  expect(error.message).toMatch(
    /^cdg-1: machine .* cannot be adopted, .*It was not changed\. Correct fly-pops:adopt\.$/,
  );
  expect(error.message).toContain(reason);
  expect(lives(fixture)).toMatchObject([{ id: fixture.id, instanceId: fixture.outs.instanceId }]);
});

test("a machine cordoned by hand shows, and is routed again without a new version", async () => {
  await using fixture = await pop();
  await fixture.local.call("POST", `/apps/${app}/machines/${fixture.id}/cordon`);
  const read = await machineHandler.read(fixture.id, fixture.outs, fixture.context);
  expect(read?.inputs).toEqual({ ...fixture.inputs, routed: false });
  const updated = await machineHandler.update(
    fixture.id,
    read?.outs as MachineOutputs,
    fixture.inputs,
    fixture.context,
  );
  expect(updated.instanceId).toBe(fixture.outs.instanceId);
  expect(fixture.local.calls("POST", "machines/:id")).toBe(0);
  expect(lives(fixture)).toMatchObject([{ cordoned: false }]);
});
