/** Two stacks on one Fly: what is the other's is left alone, and the sentence says what to change. */
import { describe, expect, test } from "vitest";
import { addressHandler } from "../../providers/fly/address.ts";
import { Fly } from "../../providers/fly/api.ts";
import { appHandler } from "../../providers/fly/app.ts";
import { machineHandler } from "../../providers/fly/machine.ts";
import { createRolloutGate } from "../../providers/fly/rollout-gate.ts";
import { volumeHandler } from "../../providers/fly/volume.ts";
import { app, type Bench, bench, image, machineInputs, volumeInputs, withImage } from "../support/context.ts";

const ours = "me/fly-pops/prod";
const theirs = "me/fly-pops/staging";
const message = (work: Promise<unknown>) =>
  work.then(
    () => "it succeeded",
    (error: Error) => error.message,
  );

/** A PoP of the stack. */
async function pop({ context, local }: Bench, owner = ours) {
  const volume = await volumeHandler.create(volumeInputs(), context);
  const inputs = machineInputs(volume.id, { owner });
  const made = await machineHandler.create(inputs, context);
  local.fly.calls.clear();
  return { inputs, ...made };
}
const changed = ({ local }: Bench) =>
  local.fly.calls.list.filter(({ method }) => method !== "GET").map(({ route }) => route);

const shared = (state: string) =>
  `my-edge: the app belongs to stack me/fly-pops/prod, whose machine cdg-1 runs in it. ${state} Two stacks cannot share an app, its addresses and its registry: take another fly-pops:app. If that stack is gone and this one is to take over what it made: set fly-pops:adopt.from to me/fly-pops/prod`;

/** Each of another stack, as its first run would make it. */
const kinds: [string, (it: Bench, over: { owner: string; adoptFrom?: string }) => Promise<{ id: string }>, string][] = [
  [
    "an app",
    ({ context }, over) => appHandler.create({ app, organization: "personal", ...over }, context),
    "Nothing was changed.",
  ],
  [
    "an address",
    ({ context }, over) => addressHandler.create({ app, type: "v4", ...over }, context),
    "No v4 address was assigned or taken over.",
  ],
  [
    "a volume",
    ({ context }, over) => volumeHandler.create(volumeInputs(over), context),
    "No volume was made for cdg-1, and none taken over.",
  ],
];

describe.each(kinds)("%s of an app", (_, create, state) => {
  test("in which another stack's machine lives is refused before anything is touched", async () => {
    await using made = await bench();
    await made.local.call("POST", `/apps/${app}/ip_assignments`, { type: "v4" });
    await pop(made);
    expect(await message(create(made, { owner: theirs }))).toBe(shared(state));
    expect(changed(made)).toEqual([]);
  });

  test("of one's own is taken, and so is one whose machines bear the name the stack had before", async () => {
    await using made = await bench();
    await pop(made);
    await create(made, { owner: ours });
    const renamed = { ...made, context: { ...made.context, formerNames: new Set([ours]) } };
    await create(renamed, { owner: theirs });
  });

  test("of the stack it is told to take over from is taken, of any other it is not", async () => {
    await using made = await bench();
    await pop(made);
    expect(await message(create(made, { owner: theirs, adoptFrom: "me/fly-pops/else" }))).toBe(shared(state));
    await create(made, { owner: theirs, adoptFrom: ours });
  });

  test("whose foreign machine is gone, whose machines have no mark, or which is empty, is taken", async () => {
    await using made = await bench();
    await create(made, { owner: theirs });
    await using left = await bench();
    const { id, outs } = await pop(left);
    await machineHandler.delete(id, outs, left.context);
    await create(left, { owner: theirs });
    await using plain = await bench();
    await plain.local.call("POST", `/apps/${app}/machines`, {
      name: "by-hand",
      region: "cdg",
      config: { image: image(1) },
    });
    await create(plain, { owner: theirs });
  });
});

test("what a first run makes is looked at once an app, and not at all where the app is new", async () => {
  await using made = await bench({ withApp: false });
  await appHandler.create({ app, organization: "personal", owner: ours }, made.context);
  const makes = async () => {
    made.local.fly.calls.clear();
    await addressHandler.create({ app, type: "v4", owner: ours }, made.context);
    for (const region of ["cdg", "ewr"])
      await volumeHandler.create(volumeInputs({ region, owner: ours }), made.context);
    return made.local.calls("GET", "machines");
  };
  expect(await makes()).toBe(0);
  await pop(made);
  const { local } = made;
  // Another run, that comes when every server knows of the PoP.
  await local.clock.advance(local.quirks.staleMs);
  const next = new Fly({ endpoint: local.url, token: local.token, clock: local.clock });
  made.context = { ...made.context, fly: next };
  expect(await makes()).toBe(1);
});

test("another stack's PoP is taken over whole by the stack that is told to: the same objects under its mark", async () => {
  await using made = await bench();
  const { id, inputs } = await pop(made);
  const heir = { owner: theirs, adoptFrom: ours };
  const volume = await volumeHandler.create(volumeInputs(heir), made.context);
  expect(volume.id).toBe(inputs.volume);
  const machine = await machineHandler.create({ ...inputs, ...heir }, made.context);
  expect(machine.id).toBe(id);
  expect(
    made.local.machines().map(({ name, versions }) => [name, versions.at(-1)?.received.metadata?.fly_pops_stack]),
  ).toEqual([["cdg-1", theirs]]);
});

test("a volume that a machine of nobody's mounts is not taken over by its name", async () => {
  await using made = await bench();
  const { body } = await made.local.call("POST", `/apps/${app}/volumes`, {
    name: "pop_cdg_1",
    region: "cdg",
    size_gb: 3,
  });
  await made.local.call("POST", `/apps/${app}/machines`, {
    name: "by-hand",
    region: "cdg",
    config: { image: image(1), mounts: [{ volume: body.id, path: "/data" }] },
  });
  made.local.fly.calls.clear();
  expect(await message(volumeHandler.create(volumeInputs({ owner: ours }), made.context))).toBe(
    `cdg-1: volume ${body.id} is mounted by machine by-hand, which belongs to no stack of fly-pops. It was not taken over. Take another fly-pops:app; or, if both are to be this PoP's, name them in fly-pops:adopt.pops.cdg-1`,
  );
  expect(changed(made)).toEqual([]);
  expect((await volumeHandler.create(volumeInputs({ owner: ours, adopt: body.id }), made.context)).id).toBe(body.id);
});

test("a volume of the same name that another stack's machine mounts is neither shown nor deleted in place of one that went", async () => {
  await using made = await bench();
  const { inputs } = await pop(made);
  const outs = { ...volumeInputs({ owner: theirs }), schemaVersion: 1 as const, zone: null };
  expect(await volumeHandler.read("vol_gone", outs, made.context)).toBeUndefined();
  await volumeHandler.delete("vol_gone", outs, made.context);
  expect(changed(made)).toEqual(["DELETE volumes/:id"]);
  expect(made.local.world().volumes[inputs.volume]?.state).toBe("created");
});

test("an address stays while another stack's machine serves by it, and goes with one's own", async () => {
  await using made = await bench();
  const shared = await addressHandler.create({ app, type: "v4", owner: theirs }, made.context);
  await pop(made);
  await addressHandler.delete(shared.id, shared.outs, made.context);
  expect(made.local.world().addresses).toHaveLength(1);
  expect(made.lines.at(-1)).toBe(
    `address ${shared.id} stays: the app my-edge serves stack me/fly-pops/prod too, by cdg-1. If nobody needs it: fly ips release ${shared.id} -a my-edge`,
  );
  await addressHandler.delete(shared.id, { ...shared.outs, owner: ours }, made.context);
  expect(made.local.world().addresses).toEqual([]);
});

test("a machine that another stack has by now is neither changed nor destroyed nor taken back by the former one's state", async () => {
  await using made = await bench();
  const { id, inputs, outs } = await pop(made);
  // Moved there in state, and deployed from there.
  const moved = await machineHandler.update(id, outs, { ...inputs, owner: theirs }, made.context);
  made.local.fly.calls.clear();
  const now = `cdg-1: machine ${id} belongs to stack ${theirs} now. It was not changed. If that is right, take it out of this stack: npx pulumi state delete; and give one of the two another fly-pops:app.`;

  // What the former stack's state still says of it.
  const refreshed = await machineHandler.read(id, outs, made.context);
  expect({ shown: refreshed?.inputs.owner, known: refreshed?.outs.owner }).toEqual({ shown: theirs, known: ours });
  expect(made.lines.at(-1)).toBe(`cdg-1: machine ${id} belongs to stack ${theirs} now`);
  for (const known of [outs, refreshed?.outs ?? expect.fail("gone")]) {
    // A run of its own each: the first failure stops a rollout.
    const context = { ...made.context, rollout: createRolloutGate() };
    expect(await message(machineHandler.update(id, known, withImage(inputs, 2), context))).toBe(now);
    expect(await message(machineHandler.delete(id, known, made.context))).toBe(now);
  }
  expect(changed(made)).toEqual([]);
  await machineHandler.delete(id, moved, made.context);
  expect(made.local.machines().filter(({ state }) => state !== "destroyed")).toEqual([]);
});
