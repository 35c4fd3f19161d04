/** The engine's less used doors, by the real CLI: what serves goes on serving, whichever is taken. */
import { test } from "vitest";
import { image } from "../support/context.ts";
import { type Engine, engine, fleetState, stack } from "../support/engine.ts";

/** What must be the same before and after. */
const stateOnFly = (it: Engine) => ({ ...fleetState(it), machines: it.machines() });
const images = (it: Engine) =>
  Object.fromEntries(Object.entries(it.machines()).map(([name, { image }]) => [name, image]));
const yes = ["--yes", "--skip-preview"];

test.concurrent("import, --target, --exclude, refresh and destroy with the program: each does what its name says, and no more", async ({
  expect,
}) => {
  await using it = await engine();
  const first = await it.up();
  expect(first.code, first.output).toBe(0);
  it.mutations();
  const before = stateOnFly(it);

  const imported = await it.run([
    "import",
    "pulumi-nodejs:dynamic/fly:Machine",
    "taken",
    before.machines["cdg-1"]?.id ?? "",
    "--yes",
    "--generate-code=false",
  ]);
  expect(imported.code).not.toBe(0);
  expect(imported.output).toContain(
    "cannot be imported: a dynamic provider knows only what is in state. Nothing was changed. Take it over by fly-pops:adopt in the stack file",
  );

  const refreshed = await it.run(["refresh", "--run-program", ...yes, "--expect-no-changes"]);
  expect(refreshed.code, refreshed.output).toBe(0);
  expect(stateOnFly(it)).toEqual(before);
  expect(it.mutations()).toEqual([]);

  it.config(stack({ imageRef: image(2) }));
  const targeted = await it.run(["up", ...yes, "--target", "**edge-cdg-1-machine"]);
  expect(targeted.code, targeted.output).toBe(0);
  expect(images(it)).toEqual({ "cdg-1": image(2), "ewr-1": image(1) });
  it.config(stack({ imageRef: image(3) }));
  const excluded = await it.run(["up", ...yes, "--exclude", "**edge-cdg-1-machine"]);
  expect(excluded.code, excluded.output).toBe(0);
  expect(images(it)).toEqual({ "cdg-1": image(2), "ewr-1": image(3) });

  const destroyed = await it.run(["destroy", "--run-program", ...yes, "--exclude", "**edge-v4"]);
  expect(destroyed.code, destroyed.output).toBe(0);
  // The resources that the excluded address depends on stay with it.
  const left = stateOnFly(it);
  expect([left.apps, left.addresses, left.machines]).toEqual([
    before.apps,
    before.addresses.filter((ip) => ip.includes(".")),
    {},
  ]);
  const rest = await it.run(["destroy", "--run-program", ...yes]);
  expect(rest.code, rest.output).toBe(0);
  expect([stateOnFly(it).apps, stateOnFly(it).addresses]).toEqual([[], []]);
});

test.concurrent("another app that cannot be had: --continue-on-error takes nothing of the old one away", async ({
  expect,
}) => {
  await using it = await engine();
  const first = await it.up();
  expect(first.code, first.output).toBe(0);
  const before = stateOnFly(it);
  it.mutations();
  it.config(stack({ app: "other-edge", organization: "nobody", imageRef: image(2) }));
  const moved = await it.run(["up", ...yes, "--continue-on-error"]);
  expect(moved.code).not.toBe(0);
  expect(moved.output).toContain('organization "nobody" not found');
  expect(stateOnFly(it)).toEqual(before);
  expect(it.mutations()).toEqual(["POST apps"]);
  it.config(stack());
  const back = await it.run(["up", ...yes, "--expect-no-changes"]);
  expect(back.code, back.output).toBe(0);
});
