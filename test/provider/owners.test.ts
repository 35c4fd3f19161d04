/** Two stacks on one Fly: what is the other's is left alone, and the sentence says what to change. */
import { describe, expect, test } from "vitest";
import { Fly } from "../../fly/api.ts";
import { addressHandler } from "../../providers/fly/address.ts";
import { appHandler } from "../../providers/fly/app.ts";
import { machineHandler } from "../../providers/fly/machine.ts";
import { volumeHandler } from "../../providers/fly/volume.ts";
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
import { errorMessage } from "../support/error-message.ts";

const ours = "me/fly-pops/prod";
const theirs = "me/fly-pops/staging";

/** A PoP of the stack. */
async function pop({ context, local }: HandlerFixture, owner = ours) {
  const volume = await volumeHandler.create(volumeInputs(), context);
  const inputs = machineInputs(volume.id, { owner });
  const made = await machineHandler.create(inputs, context);
  local.fly.calls.clear();
  return { inputs, ...made };
}
const changed = ({ local }: HandlerFixture) =>
  local.fly.calls.list.filter(({ method }) => method !== "GET").map(({ route }) => route);

const shared = (state: string) =>
  `my-edge: the app belongs to stack me/fly-pops/prod, whose machine cdg-1 runs in it. ${state} Two stacks cannot share an app, its addresses and its registry: choose another fly-pops:app. If that stack is gone and this one should adopt its objects, set fly-pops:adopt.from to me/fly-pops/prod`;

/** Each of another stack, as its first run would make it. */
const kinds: [
  string,
  (it: HandlerFixture, over: { owner: string; adoptFrom?: string }) => Promise<{ id: string }>,
  string,
][] = [
  [
    "an app",
    ({ context }, over) => appHandler.create({ app, organization: "personal", ...over }, context),
    "Nothing was changed.",
  ],
  [
    "an address",
    ({ context }, over) => addressHandler.create({ app, type: "v4", ...over }, context),
    "No v4 address was assigned or adopted.",
  ],
  [
    "a volume",
    ({ context }, over) => volumeHandler.create(volumeInputs(over), context),
    "No volume was created or adopted for cdg-1.",
  ],
];

describe.each(kinds)("%s of an app", (_, create, state) => {
  test("in which another stack's machine lives is refused before anything is touched", async () => {
    await using fixture = await handlerFixture();
    await fixture.local.call("POST", `/apps/${app}/ip_assignments`, { type: "v4" });
    await pop(fixture);
    expect(await errorMessage(create(fixture, { owner: theirs }))).toBe(shared(state));
    expect(changed(fixture)).toEqual([]);
  });

  test("of one's own is taken, and so is one whose machines bear the name the stack had before", async () => {
    await using fixture = await handlerFixture();
    await pop(fixture);
    await create(fixture, { owner: ours });
    const renamed = { ...fixture, context: { ...fixture.context, formerNames: new Set([ours]) } };
    await create(renamed, { owner: theirs });
  });

  test("of the stack named in adopt.from is taken, of any other it is not", async () => {
    await using fixture = await handlerFixture();
    await pop(fixture);
    expect(await errorMessage(create(fixture, { owner: theirs, adoptFrom: "me/fly-pops/else" }))).toBe(shared(state));
    await create(fixture, { owner: theirs, adoptFrom: ours });
  });

  test("whose foreign machine is gone, whose machines have no mark, or which is empty, is taken", async () => {
    await using fixture = await handlerFixture();
    await create(fixture, { owner: theirs });
    await using left = await handlerFixture();
    const { id, outs } = await pop(left);
    await machineHandler.delete(id, outs, left.context);
    await create(left, { owner: theirs });
    await using plain = await handlerFixture();
    await plain.local.call("POST", `/apps/${app}/machines`, {
      name: "by-hand",
      region: "cdg",
      config: { image: image(1) },
    });
    await create(plain, { owner: theirs });
  });
});

test("what a first run makes is looked at once an app, and not at all where the app is new", async () => {
  await using fixture = await handlerFixture({ withApp: false });
  await appHandler.create({ app, organization: "personal", owner: ours }, fixture.context);
  const makes = async () => {
    fixture.local.fly.calls.clear();
    await addressHandler.create({ app, type: "v4", owner: ours }, fixture.context);
    for (const region of ["cdg", "ewr"])
      await volumeHandler.create(volumeInputs({ region, owner: ours }), fixture.context);
    return fixture.local.calls("GET", "machines");
  };
  expect(await makes()).toBe(0);
  await pop(fixture);
  const { local } = fixture;
  // Another run, that comes when every server knows of the PoP.
  await local.clock.advance(local.quirks.staleMs);
  const next = new Fly({ endpoint: local.url, token: local.token, clock: local.clock });
  fixture.context = { ...fixture.context, fly: next };
  expect(await makes()).toBe(1);
});

test("another stack's PoP is taken over completely with adopt.from: the same objects under the new mark", async () => {
  await using fixture = await handlerFixture();
  const { id, inputs } = await pop(fixture);
  const heir = { owner: theirs, adoptFrom: ours };
  const volume = await volumeHandler.create(volumeInputs(heir), fixture.context);
  expect(volume.id).toBe(inputs.volume);
  const machine = await machineHandler.create({ ...inputs, ...heir }, fixture.context);
  expect(machine.id).toBe(id);
  expect(
    fixture.local.machines().map(({ name, versions }) => [name, versions.at(-1)?.received.metadata?.pops_stack]),
  ).toEqual([["cdg-1", theirs]]);
});

test("a volume that a machine without an owner mounts is not taken over by its name", async () => {
  await using fixture = await handlerFixture();
  const { body } = await fixture.local.call("POST", `/apps/${app}/volumes`, {
    name: "pop_cdg_1",
    region: "cdg",
    size_gb: 3,
  });
  await fixture.local.call("POST", `/apps/${app}/machines`, {
    name: "by-hand",
    region: "cdg",
    config: { image: image(1), mounts: [{ volume: body.id, path: "/data" }] },
  });
  fixture.local.fly.calls.clear();
  expect(await errorMessage(volumeHandler.create(volumeInputs({ owner: ours }), fixture.context))).toBe(
    `cdg-1: volume ${body.id} is mounted by machine by-hand, which belongs to no stack of fly-pops. It was not adopted. Choose another fly-pops:app. If both should become this PoP's, name them in fly-pops:adopt.pops.cdg-1`,
  );
  expect(changed(fixture)).toEqual([]);
  expect((await volumeHandler.create(volumeInputs({ owner: ours, adopt: body.id }), fixture.context)).id).toBe(body.id);
});

test("a volume of the same name that another stack's machine mounts is neither shown nor deleted in place of one that went", async () => {
  await using fixture = await handlerFixture();
  const { inputs } = await pop(fixture);
  const outs = { ...volumeInputs({ owner: theirs }), schemaVersion: 1 as const, zone: null };
  expect(await volumeHandler.read("vol_gone", outs, fixture.context)).toBeUndefined();
  await volumeHandler.delete("vol_gone", outs, fixture.context);
  expect(changed(fixture)).toEqual(["DELETE volumes/:id"]);
  expect(fixture.local.flyState().volumes[inputs.volume]?.state).toBe("created");
});

test("an address stays while another stack's machine serves by it, and goes with one's own", async () => {
  await using fixture = await handlerFixture();
  const shared = await addressHandler.create({ app, type: "v4", owner: theirs }, fixture.context);
  await pop(fixture);
  await addressHandler.delete(shared.id, shared.outs, fixture.context);
  expect(fixture.local.flyState().addresses).toHaveLength(1);
  expect(fixture.logLines.at(-1)).toBe(
    `address ${shared.id} is kept: the app my-edge serves stack me/fly-pops/prod too, by cdg-1. If it is no longer needed: fly ips release ${shared.id} -a my-edge`,
  );
  await addressHandler.delete(shared.id, { ...shared.outs, owner: ours }, fixture.context);
  expect(fixture.local.flyState().addresses).toEqual([]);
});

test("a machine that another stack has by now is neither changed nor destroyed nor taken back by the former one's state", async () => {
  await using fixture = await handlerFixture();
  const { id, inputs, outs } = await pop(fixture);
  // Moved there in state, and deployed from there.
  const moved = await machineHandler.update(id, outs, { ...inputs, owner: theirs }, fixture.context);
  fixture.local.fly.calls.clear();
  const now = `cdg-1: machine ${id} belongs to stack ${theirs} now. It was not changed. If that is intended, remove it from this stack (npx pulumi state delete) and give one of the two another fly-pops:app.`;

  // What the former stack's state still says of it.
  const refreshed = await machineHandler.read(id, outs, fixture.context);
  expect({ shown: refreshed?.inputs.owner, known: refreshed?.outs.owner }).toEqual({ shown: theirs, known: ours });
  expect(fixture.logLines.at(-1)).toBe(`cdg-1: machine ${id} belongs to stack ${theirs} now`);
  for (const known of [outs, refreshed?.outs ?? expect.fail("gone")]) {
    // A run of its own each: the first failure stops a rollout.
    const context = { ...fixture.context, rollout: createRolloutGate() };
    expect(await errorMessage(machineHandler.update(id, known, withImage(inputs, 2), context))).toBe(now);
    expect(await errorMessage(machineHandler.delete(id, known, fixture.context))).toBe(now);
  }
  expect(changed(fixture)).toEqual([]);
  await machineHandler.delete(id, moved, fixture.context);
  expect(fixture.local.machines().filter(({ state }) => state !== "destroyed")).toEqual([]);
});
