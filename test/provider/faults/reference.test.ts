import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { memoryStore } from "../../../local/fly/core/store.ts";
import { createLocalFly } from "../../../local/fly/create.ts";
import { createStateRunner } from "../../../local/fly/runners/state-runner.ts";
import { addressHandler } from "../../../providers/fly/address.ts";
import { appHandler } from "../../../providers/fly/app.ts";
import { faultsPath, faultsReference, titleOf } from "../../../tools/docs/faults.ts";
import { app } from "../../support/context.ts";
import { faultFixture } from "../../support/faults/fixture.ts";
import { faultKinds } from "../../support/faults/kinds.ts";
import { operations } from "../../support/faults/operations.ts";
import { dryRun } from "../../support/faults/run.ts";
import { subject } from "../../support/faults/subject.ts";
import { virtualClock } from "../../support/virtual-clock.ts";

const page = readFileSync(faultsPath, "utf8");

test("the page has exactly the operations that are run, in their order", () => {
  expect([...page.matchAll(/^## (.+)$/gm)].map(([, title]) => title)).toEqual(operations.map(titleOf));
});

test("the page begins as it is written", () => {
  const [intro] = faultsReference([]).split("\n| operation");
  expect(page.startsWith(intro ?? "?")).toBe(true);
});

test("an update of an app or an address calls nothing, so no fault can strike it", async () => {
  await using fixture = await faultFixture();
  const context = fixture.context();
  const inputs = { app, organization: "personal" };
  const { id, outs } = await appHandler.create(inputs, context);
  const address = await addressHandler.create({ app, type: "v6" }, context);
  fixture.fly.calls.clear();
  await appHandler.update(id, outs, inputs);
  await addressHandler.update(address.id, address.outs, { app, type: "v6" });
  expect(fixture.fly.calls.count()).toBe(0);
});

test("every fault can strike somewhere: its routes exist in what operations call", async () => {
  const called = new Set((await Promise.all(operations.map(dryRun))).flat());
  const idle = faultKinds.filter(({ on }) => on && ![...called].some((route) => on.test(route)));
  expect(idle.map(({ name }) => name)).toEqual([]);
});

test("every route a handler calls is one that local Fly has", async () => {
  const clock = virtualClock();
  const fly = await createLocalFly({
    clock,
    runner: createStateRunner(clock),
    random: () => 0.5,
    store: memoryStore(),
    token: "any",
  });
  const called = new Set((await Promise.all(operations.map(dryRun))).flat());
  for (const match of called) expect(() => fly.faults.add({ match, fault: "drop request" })).not.toThrow();
});

test("the engine's model keeps what was half made, and updates it in the next run though no input changed", async () => {
  await using fixture = await faultFixture();
  const [create] = operations.filter(({ kind, name }) => kind === "Machine" && name === "create");
  const thing = await create?.prepare(fixture);
  fixture.fly.faults.next("GET machines/:id/wait", { kind: "status", status: 401 });
  await expect(thing?.up(fixture.context())).rejects.toThrow();
  expect(thing?.settled()).toBe(false);
  expect(thing?.state()).toContain('"halfMade":true');
  await thing?.up(fixture.context());
  expect(thing?.settled()).toBe(true);
});

test("the engine's model of an object that does not exist: nothing to do", async () => {
  await using fixture = await faultFixture();
  const thing = subject(appHandler, undefined, undefined);
  await thing.up(fixture.context());
  expect([thing.settled(), thing.state(), fixture.fly.calls.count()]).toEqual([true, "null", 0]);
});
