/** Two stacks on one Fly: what is the other's is left alone, and the sentence says what to change. */
import { expect, test } from "vitest";
import { addressHandler } from "../../providers/fly/address.ts";
import { appHandler } from "../../providers/fly/app.ts";
import { machineHandler } from "../../providers/fly/machine.ts";
import { createRollout } from "../../providers/fly/rollout.ts";
import { volumeHandler } from "../../providers/fly/volume.ts";
import { app, type Bench, bench, machineInputs, volumeInputs, withImage } from "../support/context.ts";

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

test("an app in which another stack's machine lives is refused, an empty one and one's own are taken", async () => {
  await using made = await bench();
  const inputs = { app, organization: "personal", owner: theirs };
  await appHandler.create(inputs, made.context);
  await pop(made);
  expect(await message(appHandler.create(inputs, made.context))).toBe(
    "my-edge: the app exists, and cdg-1 in it belongs to stack me/fly-pops/prod. Nothing was changed. Two stacks cannot share an app, its addresses and its registry: take another fly-pops:app.",
  );
  expect(changed(made)).toEqual([]);
  await appHandler.create({ ...inputs, owner: ours }, made.context);
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
  const now = `cdg-1: machine ${id} belongs to stack ${theirs} now. Nothing was changed. If that is right, take it out of this stack: npx pulumi state delete; and give one of the two another fly-pops:app.`;

  // What the former stack's state still says of it.
  const refreshed = await machineHandler.read(id, outs, made.context);
  expect(refreshed?.inputs.owner).toBe(ours);
  expect(made.lines.at(-1)).toBe(`cdg-1: machine ${id} belongs to stack ${theirs} now`);
  for (const known of [outs, refreshed?.outs ?? expect.fail("gone")]) {
    // A run of its own each: the first failure stops a rollout.
    const context = { ...made.context, rollout: createRollout() };
    expect(await message(machineHandler.update(id, known, withImage(inputs, 2), context))).toBe(now);
    expect(await message(machineHandler.delete(id, known, made.context))).toBe(now);
  }
  expect(changed(made)).toEqual([]);
  await machineHandler.delete(id, moved, made.context);
  expect(made.local.machines().filter(({ state }) => state !== "destroyed")).toEqual([]);
});
