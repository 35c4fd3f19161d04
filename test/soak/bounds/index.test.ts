/** The cache's index: memory of a fixed size, which many small pages fill before the volume is full. */
import { afterEach, expect, test } from "vitest";
import { enterTls } from "../../image/support/client.ts";
import { type Loaded, load } from "../../image/support/load.ts";
import { type Lab, openLab, unharmed } from "./lab.ts";
import { hosts } from "./spec.ts";

let lab: Lab;
afterEach(() => lab?.close());

function askAll(objects: number): Promise<Loaded> {
  let next = 0;
  return load({
    open: () => enterTls(lab.pop.https, { servername: hosts.other }),
    connections: 24,
    host: hosts.other,
    next: () => (next < objects ? `/object-${next++}?cache=max-age=3600` : undefined),
  });
}

test("8 MB of index keep 40,000 pages", async () => {
  lab = await openLab({ name: "bounds", cache: { maxSizeMb: 640, indexMb: 8 } });
  const first = await askAll(40_000);
  const asked = lab.other.total();
  const second = await askAll(40_000);
  console.log(
    `${lab.other.total() - asked} of 40,000 were asked of the origin again; p99 ${first.p99Ms.toFixed(0)} ms, ${second.p99Ms.toFixed(0)} ms`,
  );
  expect(first.outcomes).toEqual({ 200: 40_000 });
  expect(second.outcomes).toEqual({ 200: 40_000 });
  expect(lab.other.total()).toBe(asked);
  await unharmed(lab);
});

test("1 MB of index is too little for 60,000 pages, and all of them are answered", async () => {
  lab = await openLab({ name: "bounds-index", cache: { maxSizeMb: 640, indexMb: 1 } });
  const { outcomes, p99Ms } = await askAll(60_000);
  console.log(`p99 ${p99Ms.toFixed(0)} ms`);
  expect(outcomes).toEqual({ 200: 60_000 });
  await unharmed(lab);
});
