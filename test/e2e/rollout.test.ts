import { afterAll, beforeAll, expect, test } from "vitest";
import type { Checkout } from "../support/checkout.ts";
import { fleet, foreignImage, refusesImage, warm } from "../support/fleet.ts";
import { freshLoad, keptLoad } from "../support/load.ts";

// Each test leaves the fleet serving.
let it: Checkout;

beforeAll(async () => {
  it = await fleet();
});
afterAll(async () => {
  await it?.run("down");
  it?.remove();
});

test("an update rolls over three PoPs under load, and no request fails, with connections kept or not", async () => {
  await warm(it);
  const before = await it.status();
  const stops = [keptLoad(before.edge.https), freshLoad(before.edge.https)];
  it.editStack("maxAge: 10m", "maxAge: 11m");
  const { code, output } = await it.run();
  const outcomes = await Promise.all(stops.map((stop) => stop()));
  expect(code, output).toBe(0);
  const after = await it.status();
  expect(after.machines.map(({ id }) => id)).toEqual(before.machines.map(({ id }) => id));
  for (const [index, { instanceId }] of after.machines.entries())
    expect(instanceId).not.toBe(before.machines[index]?.instanceId);
  for (const { requests, failures } of outcomes) {
    expect(failures).toEqual([]);
    expect(requests).toBeGreaterThan(100);
  }
});

test("an image that crashes at boot ends with the old version serving everywhere, and a failed run", async () => {
  await refusesImage(it, await foreignImage(it, "crash", "exit 3"), /exited with 3/);
});
