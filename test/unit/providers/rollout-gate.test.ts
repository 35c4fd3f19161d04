import { expect, test } from "vitest";
import { HostUnreachable } from "../../../fly/errors.ts";
import { createRolloutGate, RolloutStopped } from "../../../providers/rollout-gate.ts";

const lines: string[] = [];
const slot = (pop: string, maxUnavailable = 1, app = "a", maxUnavailableInRegion = maxUnavailable) => ({
  app,
  pop,
  region: pop.slice(0, 3),
  maxUnavailable,
  maxUnavailableInRegion,
  log: (line: string) => lines.push(line),
});

/** Work that ends on request. */
function job() {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let started = false;
  return {
    work: () => {
      started = true;
      return promise;
    },
    get started() {
      return started;
    },
    end: () => resolve("done"),
    fail: (error: Error) => reject(error),
  };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

test("at most the allowed number of machines is out of service at once, in the order they came", async () => {
  const rollout = createRolloutGate();
  const jobs = [job(), job(), job()];
  const turns = jobs.map((it, index) => rollout.run(slot(`p${index}`, 2), it.work));
  await settle();
  expect(jobs.map(({ started }) => started)).toEqual([true, true, false]);
  jobs[1]?.end();
  await settle();
  expect(jobs[2]?.started).toBe(true);
  jobs[0]?.end();
  jobs[2]?.end();
  expect(await Promise.all(turns)).toEqual(["done", "done", "done"]);
});

test("a waiting machine gets a message that says so", async () => {
  lines.length = 0;
  const rollout = createRolloutGate();
  const first = job();
  const turns = [rollout.run(slot("cdg-1"), first.work), rollout.run(slot("ewr-1"), async () => "done")];
  first.end();
  await Promise.all(turns);
  expect(lines).toEqual(["ewr-1: waits for its turn, 1 at a time"]);
});

test("after a failure nothing further begins; what is under way goes on to its end", async () => {
  const rollout = createRolloutGate();
  const [first, second, third] = [job(), job(), job()];
  const turns = [
    rollout.run(slot("cdg-1", 2), first.work),
    rollout.run(slot("ewr-1", 2), second.work),
    rollout.run(slot("fra-1", 2), third.work),
  ];
  await settle();
  first.fail(new Error("broken image"));
  await expect(turns[0]).rejects.toThrow("broken image");
  await expect(turns[2]).rejects.toThrow(RolloutStopped);
  expect(third.started).toBe(false);
  second.end();
  expect(await turns[1]).toBe("done");
});

test("a host that is away holds up no other host", async () => {
  const rollout = createRolloutGate();
  await expect(rollout.run(slot("cdg-1"), () => Promise.reject(new HostUnreachable("cdg-1", "m1")))).rejects.toThrow(
    "cdg-1: skipped, the host of machine m1 does not answer.",
  );
  expect(await rollout.run(slot("ewr-1"), async () => "done")).toBe("done");
});

test("when the canary's host is away, another one goes first alone, and its failure stops the rest", async () => {
  const rollout = createRolloutGate();
  await rollout.run(slot("cdg-1", 3), () => Promise.reject(new HostUnreachable("cdg-1", "m1"))).catch(() => {});
  const jobs = [job(), job(), job()];
  const turns = jobs.map((it, index) => rollout.run(slot(`p${index}`, 3), it.work));
  await settle();
  expect(jobs.map(({ started }) => started)).toEqual([true, false, false]);
  jobs[0]?.fail(new Error("broken image"));
  await expect(turns[0]).rejects.toThrow("broken image");
  for (const turn of turns.slice(1)) await expect(turn).rejects.toThrow(RolloutStopped);
  expect(jobs.map(({ started }) => started)).toEqual([true, false, false]);
});

test("once one has been verified, as many go at once as may", async () => {
  const rollout = createRolloutGate();
  await rollout.run(slot("cdg-1", 2), () => Promise.reject(new HostUnreachable("cdg-1", "m1"))).catch(() => {});
  await rollout.run(slot("ewr-1", 2), async () => "done");
  const jobs = [job(), job()];
  const turns = jobs.map((it, index) => rollout.run(slot(`p${index}`, 2), it.work));
  await settle();
  expect(jobs.map(({ started }) => started)).toEqual([true, true]);
  for (const it of jobs) it.end();
  await Promise.all(turns);
});

test("of one region fewer are out at once, and one that waits for a neighbour takes no other region's place", async () => {
  lines.length = 0;
  const rollout = createRolloutGate();
  const names = ["cdg-1", "cdg-2", "ewr-1"];
  const jobs = names.map(job);
  const turns = names.map((name, index) => rollout.run(slot(name, 2, "a", 1), jobs[index]?.work ?? job().work));
  await settle();
  expect(jobs.map(({ started }) => started)).toEqual([true, false, true]);
  expect(lines).toEqual(["cdg-2: waits for its turn, 1 at a time in cdg"]);
  jobs[0]?.end();
  await settle();
  expect(jobs[1]?.started).toBe(true);
  for (const it of jobs) it.end();
  await Promise.all(turns);
});

test("a failure stops the neighbours that wait in its region too", async () => {
  const rollout = createRolloutGate();
  const [first, second] = [job(), job()];
  const turns = [rollout.run(slot("cdg-1", 2, "a", 1), first.work), rollout.run(slot("cdg-2", 2, "a", 1), second.work)];
  await settle();
  first.fail(new Error("broken image"));
  await expect(turns[0]).rejects.toThrow("broken image");
  await expect(turns[1]).rejects.toThrow(RolloutStopped);
  expect(second.started).toBe(false);
});

test("apps do not wait for each other", async () => {
  const rollout = createRolloutGate();
  const first = job();
  const held = rollout.run(slot("cdg-1", 1, "a"), first.work);
  expect(await rollout.run(slot("cdg-1", 1, "b"), async () => "done")).toBe("done");
  first.end();
  await held;
});

test("once no caller is left, what is begun ends, and nothing further is begun", async () => {
  let gone = false;
  const rollout = createRolloutGate({ isEngineGone: () => gone });
  const jobs = [job(), job()];
  const [first, second] = jobs.map((it, index) => rollout.run(slot(`p${index}`), it.work));
  await settle();
  gone = true;
  jobs[0]?.end();
  await Promise.all([
    expect(first).resolves.toBe("done"),
    expect(second).rejects.toThrow("p1: nothing was done, because the Pulumi engine ended before its turn"),
  ]);
  expect(jobs[1]?.started).toBe(false);
});
