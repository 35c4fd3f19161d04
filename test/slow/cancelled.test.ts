/** Ctrl-C, once and twice, in the middle of a rollout. */
import { test } from "vitest";
import { image } from "../support/context.ts";
import { type Engine, engine, stack } from "../support/engine.ts";

const regions = Object.fromEntries(
  ["ams", "arn", "cdg", "fra", "iad", "lhr", "nrt", "ord", "sin", "syd"].map((code) => [code, {}]),
);
const rollout = { drain: 0, timeout: "60s", maxUnavailable: 1 };
const ten = (version: number) => stack({ regions, rollout, imageRef: image(version) });

const updated = (it: Engine, version: number) =>
  Object.entries(it.machines()).flatMap(([name, machine]) => (machine.image === image(version) ? [name] : []));

const notServing = (it: Engine) =>
  Object.values(it.fly.snapshot().machines).filter(
    ({ state, cordoned, lease }) => state !== "started" || cordoned || lease !== undefined,
  );

test.concurrent("Ctrl-C in the first update of ten: that one comes to its end, no other is touched, and twice leaves what the next up settles", async ({
  expect,
}) => {
  // Long enough for the engine to hand out all it hands out at once.
  await using it = await engine({ behaviour: { pullMs: 3000 } });
  it.config(ten(1));
  const first = await it.up();
  expect(first.code, first.output).toBe(0);
  it.mutations();

  it.config(ten(2));
  const once = it.start();
  await Promise.race([
    once.said(/waits for its turn[\s\S]*waits for its turn/),
    once.ended.then(({ output }) => expect.fail(`it did not wait:\n${output}`)),
  ]);
  process.kill(once.pid, "SIGINT");
  const { code, output } = await once.ended;
  expect(code).not.toBe(0);
  expect(updated(it, 2)).toHaveLength(1);
  expect(it.mutations().filter((route) => route === "POST machines/:id")).toHaveLength(1);
  expect(output).toMatch(
    /[a-z]{3}-1: nothing was done, because the run was cancelled before its turn\. It was not changed\. Run again\./,
  );
  // No machine is left out of routing or leased.
  expect(notServing(it)).toEqual([]);

  const twice = it.start();
  await it.asked("POST machines/:id");
  process.kill(twice.pid, "SIGINT");
  process.kill(twice.pid, "SIGINT");
  const ended = await twice.ended;
  expect(ended.code).not.toBe(0);
  const last = await it.up();
  expect(last.code, last.output).toBe(0);
  expect(updated(it, 2)).toHaveLength(10);
  expect(notServing(it)).toEqual([]);
  const again = await it.run(["up", "--yes", "--skip-preview", "--expect-no-changes"]);
  expect(again.code, again.output).toBe(0);
});
