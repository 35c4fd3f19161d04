import { expect, test } from "vitest";
import { createRateLimiter } from "../../../fly/rate-limit.ts";
import type { Clock } from "../../../lib/clock.ts";

/** A clock that does not advance, and records the requested waits. */
function stillClock() {
  const waits: number[] = [];
  const clock: Clock = {
    now: () => 0,
    after(ms, run) {
      waits.push(ms);
      run();
      return () => {};
    },
  };
  return { clock, waits };
}

const turns = async (action: string, objects: string[]) => {
  const { clock, waits } = stillClock();
  const limiter = createRateLimiter(clock);
  for (const object of objects) await limiter.wait(action, object);
  return waits;
};

test("three at once, then one a second", async () => {
  expect(await turns("update machine", ["a", "a", "a", "a", "a"])).toEqual([1000, 2000]);
});

test("reading a machine is allowed ten at once, then five a second", async () => {
  expect(await turns("get machine", Array(12).fill("a"))).toEqual([200, 400]);
});

test("objects do not wait for each other", async () => {
  expect(await turns("update machine", ["a", "b", "c", "d", "e"])).toEqual([]);
});

test("actions do not wait for each other", async () => {
  const { clock, waits } = stillClock();
  const limiter = createRateLimiter(clock);
  for (const action of ["cordon machine", "update machine", "wait machine", "uncordon machine"])
    await limiter.wait(action, "a");
  expect(waits).toEqual([]);
});
