import { expect, test } from "vitest";
import type { Clock } from "../../../lib/clock.ts";
import { type Closable, keepRunning } from "../../../lib/keep-running.ts";

const settle = () => new Promise((resolve) => setImmediate(resolve));

/** A service whose starts end as the test says, on a clock that the test advances. */
function scene(...failures: (Error | undefined)[]) {
  const events: string[] = [];
  const timers: { ms: number; run: () => void }[] = [];
  const ends: (() => void)[] = [];
  const clock: Clock = {
    now: () => 0,
    after(ms, run) {
      const timer = { ms, run };
      timers.push(timer);
      return () => void timers.splice(timers.indexOf(timer), 1);
    },
  };
  const start = async (ended: () => void): Promise<Closable> => {
    const failure = failures.shift();
    events.push(failure ? "not started" : "started");
    if (failure) throw failure;
    ends.push(ended);
    return { close: async () => void events.push("closed") };
  };
  const kept = () =>
    keepRunning(start, {
      clock,
      ended: () => events.push("ended"),
      failed: (error, nextMs) => events.push(`${(error as Error).message}, next in ${nextMs}`),
    });
  const pass = async () => {
    const timer = timers.shift();
    timer?.run();
    await settle();
    return timer?.ms;
  };
  return { events, timers, ends, kept, pass };
}

test("what ends is started again a second later, each time", async () => {
  const { events, ends, kept, pass } = scene();
  const it = await kept();
  for (const n of [0, 1]) {
    ends[n]?.();
    expect(await pass()).toBe(1000);
  }
  await it.close();
  expect(events).toEqual(["started", "ended", "started", "ended", "started", "closed"]);
});

test("a start that fails is tried again, less and less often, and the pauses begin at a second the next time", async () => {
  const failures = Array.from({ length: 7 }, () => new Error("no engine"));
  const { events, ends, kept, pass } = scene(undefined, ...failures);
  await kept();
  ends[0]?.();
  const waits = [];
  for (let n = 0; n < 8; n++) waits.push(await pass());
  expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
  expect(events.slice(2, 4)).toEqual(["not started", "no engine, next in 2000"]);
  expect(events.at(-1)).toBe("started");
  ends[1]?.();
  expect(await pass()).toBe(1000);
});

test("the first failure is thrown, and nothing is tried again", async () => {
  const { timers, kept } = scene(new Error("no image"));
  await expect(kept()).rejects.toThrow("no image");
  expect(timers).toEqual([]);
});

test("an end after the close is ignored, and a close while it waits starts nothing", async () => {
  const closed = scene();
  await (await closed.kept()).close();
  closed.ends[0]?.();
  expect(closed.events).toEqual(["started", "closed"]);

  const waiting = scene();
  const it = await waiting.kept();
  waiting.ends[0]?.();
  await it.close();
  expect(waiting.timers).toEqual([]);
  expect(waiting.events).toEqual(["started", "ended"]);
});
