import { expect, test } from "vitest";
import { sleep } from "../../../lib/clock.ts";
import { type HttpRequest, httpTransport } from "../../../lib/http-transport.ts";
import { inProcess, localFly } from "../../support/local-fly.ts";
import { virtualClock } from "../../support/virtual-clock.ts";

const minute = 60_000;

test("an hour of sleeps takes no time, in order", async () => {
  const clock = virtualClock();
  const begun = performance.now();
  const seen: string[] = [];
  await Promise.all([
    sleep(clock, 60 * minute).then(() => seen.push("hour")),
    sleep(clock, minute).then(() => seen.push("minute")),
    sleep(clock, 0).then(() => seen.push("now")),
  ]);
  expect(seen).toEqual(["now", "minute", "hour"]);
  expect(performance.now() - begun).toBeLessThan(1000);
  clock.close();
});

test("background timers fire on the way, but time does not pass for them", async () => {
  const clock = virtualClock(0);
  const fired: number[] = [];
  const tick = () => {
    fired.push(clock.now());
    clock.background.after(1000, tick);
  };
  clock.background.after(1000, tick);
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(clock.now()).toBe(0);
  await clock.advance(3500);
  expect(fired).toEqual([1000, 2000, 3000]);
  expect(clock.now()).toBe(3500);
  clock.close();
});

test("time stops while something is held, and continues after it", async () => {
  const clock = virtualClock(0);
  const release = clock.hold();
  const slept = sleep(clock, minute);
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(clock.now()).toBe(0);
  release();
  release();
  await slept;
  expect(clock.now()).toBe(minute);
  clock.close();
});

test("time does not pass for a cancelled timer", async () => {
  const clock = virtualClock(0);
  const cancel = clock.after(minute, () => expect.unreachable());
  cancel();
  cancel();
  await clock.advance(10 * minute);
  expect(clock.now()).toBe(10 * minute);
  clock.close();
});

test("over sockets a call takes exactly as long as the server's rules say, under load of the event loop too", async () => {
  await using fly = await localFly({ behaviour: { pullMs: 1000, bootMs: 2000, stopMs: 500 } });
  for (let round = 0; round < 10; round++) {
    const before = fly.clock.now();
    // Work of the client between calls, however long it really takes, takes no time.
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    await fly.machine({ name: `pop-${round}` });
    expect(fly.clock.now() - before).toBe(3000);
  }
});

test("a long answer over many reads does not let time slip", async () => {
  await using fly = await localFly();
  const env = { PADDING: "x".repeat(100_000) };
  for (let index = 0; index < 20; index++) await fly.machine({ config: { image: "registry.example/pop:1", env } });
  const { now } = fly.clock;
  const timer = sleep(fly.clock, minute).then(now);
  const before = now();
  const list = await fly.call("GET", "/apps/edge/machines");
  expect(list.body).toHaveLength(20);
  expect(now()).toBe(before);
  expect(await timer).toBe(before + minute);
});

/** A day of an operator, with things going wrong; every answer and every time, as text. */
async function transcript(seed: number, road: "sockets" | "in process"): Promise<string[]> {
  await using fly = await localFly({ seed, behaviour: { bootMs: 700 } });
  fly.runner.image("registry.example/pop:2", { exits: { afterMs: 300, exitCode: 1, times: 3 } });
  fly.runner.image("registry.example/pop:3", { pull: "fails" });
  fly.faults.add({ match: "GET machines/:id", nth: 3, fault: { kind: "slow", ms: 1500 } });
  fly.faults.add({ match: "POST volumes", nth: 2, fault: { kind: "status", status: 503 } });
  const transport = road === "in process" ? inProcess(fly.fly.handle, fly.clock) : httpTransport();
  const lines: string[] = [];
  const call = async (method: HttpRequest["method"], path: string, data?: unknown) => {
    const reply = await transport({
      method,
      url: `${fly.url}/v1${path}`,
      headers: { authorization: `Bearer ${fly.token}` },
      body: data === undefined ? undefined : JSON.stringify(data),
      timeoutMs: 60_000,
    });
    lines.push(`${fly.clock.now()} ${method} ${path} ${reply.status} ${reply.headers["fly-request-id"]} ${reply.body}`);
    return JSON.parse(reply.body || "null");
  };
  await call("POST", "/apps", { name: "edge", org_slug: "personal" });
  const volume = await call("POST", "/apps/edge/volumes", { name: "data", region: "ams" });
  await call("POST", "/apps/edge/volumes", { name: "data", region: "ams" });
  const checks = { health: { type: "tcp", port: 1, interval: "5s" } };
  const config = (n: number) => ({
    image: `registry.example/pop:${n}`,
    checks,
    mounts: [{ volume: volume.id, path: "/var" }],
  });
  const { id } = await call("POST", "/apps/edge/machines", { config: config(1) });
  const path = `/apps/edge/machines/${id}`;
  for (const n of [2, 3, 1]) {
    await call("GET", `${path}/wait?state=settled&timeout=20`);
    await sleep(fly.clock, 2500);
    await call("POST", `${path}/lease?ttl=5`);
    await call("GET", path);
    await sleep(fly.clock, 6000);
    await call("POST", path, { config: config(n) });
  }
  await call("GET", `${path}/wait?state=stopped&timeout=3`);
  await call("GET", path);
  lines.push(JSON.stringify(fly.flyState()));
  return lines;
}

test("the same seed gives the same day, to the letter, over sockets and without", async () => {
  const [first, second, inProcess] = [
    await transcript(3, "sockets"),
    await transcript(3, "sockets"),
    await transcript(3, "in process"),
  ];
  expect(second).toEqual(first);
  expect(inProcess).toEqual(first);
  expect(await transcript(4, "in process")).not.toEqual(first);
});
