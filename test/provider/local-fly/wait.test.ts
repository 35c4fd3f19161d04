import { expect, test } from "vitest";
import { type LocalFlyUnderTest, localFly } from "../../support/local-fly.ts";

const image = "registry.example/pop:1";
const wait = (fly: LocalFlyUnderTest, id: string, query: string) =>
  fly.call("GET", `/apps/edge/machines/${id}/wait?${query}`);
const born = async (fly: LocalFlyUnderTest) => {
  await fly.call("POST", "/apps", { name: "edge", org_slug: "personal" });
  return (await fly.call("POST", "/apps/edge/machines", { config: { image } })).body;
};

test("waits for started by default and says which version and event it saw", async () => {
  await using fly = await localFly();
  const machine = await born(fly);
  const { status, body } = await wait(fly, machine.id, "");
  expect(status).toBe(200);
  const [newest] = (await fly.read(machine.id)).events;
  expect(body).toEqual({ ok: true, state: "started", version: machine.instance_id, event_id: newest.id });
});

test("takes as long as the machine does, not longer", async () => {
  await using fly = await localFly({ behaviour: { pullMs: 3000, bootMs: 4000 } });
  const machine = await born(fly);
  const before = fly.clock.now();
  await wait(fly, machine.id, "state=started");
  expect(fly.clock.now() - before).toBe(7000);
});

test("answers 408 after its timeout, with the state it is still in", async () => {
  await using fly = await localFly({ behaviour: { pull: "hangs" } });
  const machine = await born(fly);
  const before = fly.clock.now();
  expect(await wait(fly, machine.id, "state=started&timeout=7")).toMatchObject({
    status: 408,
    body: { error: "deadline_exceeded: machine failed to reach desired state, started, currently created" },
  });
  expect(fly.clock.now() - before).toBe(7000);
});

test("waits 60 s when no timeout is given", async () => {
  await using fly = await localFly({ behaviour: { pull: "hangs" } });
  const machine = await born(fly);
  const before = fly.clock.now();
  expect((await wait(fly, machine.id, "")).status).toBe(408);
  expect(fly.clock.now() - before).toBe(60_000);
});

test.each(["0", "61", "-1", "3600", "1e9"])("a timeout of %s is a 400 with the range", async (timeout) => {
  await using fly = await localFly();
  const machine = await born(fly);
  expect(await wait(fly, machine.id, `timeout=${timeout}`)).toMatchObject({
    status: 400,
    body: {
      error: "invalid_argument: invalid WaitMachineRequest.Timeout: value must be inside range [1s, 1m0s]",
    },
  });
});

test.each(["timeout=soon", "state=running", "state=started,dead"])("%s is a 400", async (query) => {
  await using fly = await localFly();
  const machine = await born(fly);
  expect((await wait(fly, machine.id, query)).status).toBe(400);
});

test.each(["state=stopped,started", "state=stopped&state=started"])(
  "any of several states will do: %s",
  async (query) => {
    await using fly = await localFly();
    const machine = await born(fly);
    expect((await wait(fly, machine.id, query)).body.state).toBe("started");
  },
);

test("pinned to a version it does not see the one before", async () => {
  await using fly = await localFly();
  const before = await fly.machine();
  const { body } = await fly.call("POST", `/apps/edge/machines/${before.id}`, { config: { image } });
  const started = await wait(fly, before.id, `instance_id=${body.instance_id}`);
  expect(started.body).toMatchObject({ state: "started", version: body.instance_id });
  expect((await fly.read(before.id)).events[0].type).toBe("start");
});

test("a version replaced while it is waited for is an error that says so", async () => {
  await using fly = await localFly({ behaviour: { bootMs: 30_000 } });
  const machine = await born(fly);
  const waiting = wait(fly, machine.id, `version=${machine.instance_id}`);
  await fly.clock.advance(5000);
  await fly.call("POST", `/apps/edge/machines/${machine.id}`, { config: { image } });
  expect(await waiting).toMatchObject({
    status: 412,
    body: { error: expect.stringMatching(/^failed_precondition: .*replaced/) },
  });
});

test("an unknown version is a 404, as is an unknown machine", async () => {
  await using fly = await localFly();
  const machine = await born(fly);
  expect((await wait(fly, machine.id, "version=01JZZZZZZZZZZZZZZZZZZZZZZZ")).status).toBe(404);
  expect((await wait(fly, "00000000000000", "")).body).toEqual({ error: "machine not found" });
});

test("settled is over when the last step is, whatever it led to", async () => {
  await using fly = await localFly({ behaviour: { pull: "fails" } });
  const machine = await born(fly);
  expect((await wait(fly, machine.id, "state=settled")).body.state).toBe("failed");
});

test("a machine that destroys itself never shows stopped: the wait ends with 404", async () => {
  await using fly = await localFly();
  const machine = await fly.machine({ config: { image, auto_destroy: true } });
  await fly.call("POST", `/apps/edge/machines/${machine.id}/stop`);
  expect((await wait(fly, machine.id, `state=stopped&version=${machine.instance_id}`)).status).toBe(404);
  expect((await wait(fly, machine.id, "state=destroyed")).body).toMatchObject({ ok: true, state: "destroyed" });
});

test("from_event_id waits for what comes after that event", async () => {
  await using fly = await localFly();
  const machine = await fly.machine();
  const [newest] = machine.events;
  const waiting = wait(fly, machine.id, `state=started&from_event_id=${newest.id}`);
  await fly.clock.advance(1000);
  await fly.call("POST", `/apps/edge/machines/${machine.id}/restart`);
  const { body } = await waiting;
  expect(body.event_id > newest.id).toBe(true);
});

test("many waits on one machine all end, each by its own rule", async () => {
  await using fly = await localFly({ behaviour: { bootMs: 10_000 } });
  const machine = await born(fly);
  const replies = await Promise.all([
    wait(fly, machine.id, "state=started"),
    wait(fly, machine.id, "state=started&timeout=3"),
    wait(fly, machine.id, "state=stopped&timeout=20"),
    wait(fly, machine.id, "state=settled"),
  ]);
  expect(replies.map((it) => it.status)).toEqual([200, 408, 408, 200]);
});
