import { expect, test } from "vitest";
import { sleep } from "../../lib/clock.ts";
import { DeadlockError, simClock } from "../support/sim-clock.ts";

test("time stops until the last promise is settled", async () => {
  const clock = simClock(0);
  const seen: string[] = [];
  const chain = async () => {
    for (let n = 0; n < 1_000; n++) await null;
    seen.push(`chain at ${clock.now()}`);
  };
  await clock.until(
    (async () => {
      clock.after(5, () => seen.push(`timer at ${clock.now()}`));
      await Promise.all([chain(), sleep(clock, 10)]);
      seen.push(`all at ${clock.now()}`);
    })(),
    100,
  );
  expect(seen).toEqual(["chain at 0", "timer at 5", "all at 10"]);
});

test("timers fire by time, then in the order they were set; a cancelled one never", async () => {
  const clock = simClock(0);
  const seen: number[] = [];
  for (const [index, ms] of [30, 10, 20, 10].entries()) clock.after(ms, () => seen.push(index));
  clock.after(15, () => seen.push(-1))();
  await clock.pass(50);
  expect(seen).toEqual([1, 3, 2, 0]);
  expect(clock.now()).toBe(50);
});

test("work that never ends is reported, not waited for", async () => {
  const clock = simClock(0);
  const never = new Promise<void>(() => {});
  await expect(clock.until(never, 1_000)).rejects.toThrow(DeadlockError);
  const again = () => clock.after(100, again);
  again();
  await expect(clock.until(never, 1_000)).rejects.toThrow("not over after 1 s");
});
