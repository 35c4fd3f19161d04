import { expect, test } from "vitest";
import { type LocalFlyUnderTest, localFly } from "../../support/local-fly.ts";

const header = (nonce: string) => ({ "fly-machine-lease-nonce": nonce });
const lease = (fly: LocalFlyUnderTest, id: string, query = "?ttl=30", headers = {}, body?: unknown) =>
  fly.call("POST", `/apps/edge/machines/${id}/lease${query}`, body, headers);

test("a lease comes in its envelope, in seconds, with owner and version", async () => {
  await using fly = await localFly();
  const machine = await fly.machine();
  const { status, body } = await lease(fly, machine.id, "", {}, { ttl: 30, description: "deploy" });
  expect(status).toBe(201);
  expect(body).toEqual({
    status: "success",
    data: {
      nonce: expect.stringMatching(/^[0-9a-f]{12}$/),
      expires_at: Math.floor((fly.clock.now() + 30_000) / 1000),
      owner: expect.stringMatching(/@tokens\.fly\.io$/),
      description: "deploy",
      version: machine.instance_id,
    },
  });
  expect((await fly.call("GET", `/apps/edge/machines/${machine.id}/lease`)).body).toEqual(body);
});

test("while a lease is held, a second one is a 409 that names holder and end", async () => {
  await using fly = await localFly();
  const { id } = await fly.machine();
  fly.fly.platform.leaseTakenBy(id, "ci@example.org", 60);
  expect(await lease(fly, id)).toMatchObject({
    status: 409,
    body: {
      status: "error",
      code: "invalid",
      message: expect.stringMatching(
        new RegExp(`^machine ID ${id} lease currently held by ci@example.org, expires at 2026-01-01T00:01:0.Z$`),
      ),
    },
  });
});

test("a refresh keeps the nonce and moves the end", async () => {
  await using fly = await localFly();
  const { id } = await fly.machine();
  const first = (await lease(fly, id)).body.data;
  await fly.clock.advance(20_000);
  const second = (await lease(fly, id, "?ttl=30", header(first.nonce))).body.data;
  expect(second.nonce).toBe(first.nonce);
  expect(second.expires_at).toBe(first.expires_at + 20);
});

test("a refresh that comes too late silently creates a new lease", async () => {
  await using fly = await localFly();
  const { id } = await fly.machine();
  const first = (await lease(fly, id, "?ttl=10")).body.data;
  await fly.clock.advance(10_000);
  expect((await fly.call("GET", `/apps/edge/machines/${id}/lease`)).status).toBe(404);
  const { status, body } = await lease(fly, id, "?ttl=10", header(first.nonce));
  expect(status).toBe(201);
  expect(body.data.nonce).not.toBe(first.nonce);
});

test("a release needs the nonce: 400 without, 409 with another's, 404 when there is none", async () => {
  await using fly = await localFly();
  const { id } = await fly.machine();
  const path = `/apps/edge/machines/${id}/lease`;
  const { nonce } = (await lease(fly, id)).body.data;
  expect((await fly.call("DELETE", path)).status).toBe(400);
  expect((await fly.call("DELETE", path, undefined, header("000000000000"))).status).toBe(409);
  expect(await fly.call("DELETE", path, undefined, header(nonce))).toMatchObject({
    status: 200,
    body: { status: "success", data: { ok: true } },
  });
  expect((await fly.call("DELETE", path, undefined, header(nonce))).status).toBe(404);
});

test.each(["?ttl=soon", "?ttl=-1", "?ttl=1.5"])("%s is a 400", async (query) => {
  await using fly = await localFly();
  const { id } = await fly.machine();
  expect((await lease(fly, id, query)).status).toBe(400);
});

const fenced: [string, string, string, unknown?][] = [
  ["update", "POST", "", { config: { image: "registry.example/pop:2" } }],
  ["start", "POST", "/start"],
  ["stop", "POST", "/stop"],
  ["suspend", "POST", "/suspend"],
  ["restart", "POST", "/restart"],
  ["signal", "POST", "/signal", { signal: 1 }],
  ["cordon", "POST", "/cordon"],
  ["uncordon", "POST", "/uncordon"],
  ["exec", "POST", "/exec", { cmd: "true" }],
  ["delete", "DELETE", "?force=true"],
];

test.each(fenced)(
  "%s is fenced: 409 without the nonce or with a wrong one, done with it",
  async (_, method, path, body) => {
    await using fly = await localFly();
    const { id } = await fly.machine();
    const { nonce } = (await lease(fly, id)).body.data;
    const ask = (headers: Record<string, string>) =>
      fly.call(method, `/apps/edge/machines/${id}${path}`, body, headers);
    const before = await fly.read(id);
    for (const headers of [{}, header("000000000000")]) {
      const refused = await ask(headers);
      expect(refused.status).toBe(409);
      expect(refused.body.error).toMatch(new RegExp(`^aborted: machine ID ${id} lease currently held by `));
    }
    expect(await fly.read(id)).toEqual(before);
    expect((await ask(header(nonce))).status).toBe(200);
  },
);

const free: [string, string, string, unknown?][] = [
  ["read", "GET", ""],
  ["wait", "GET", "/wait"],
  ["events", "GET", "/events"],
  ["ps", "GET", "/ps"],
  ["metadata", "POST", "/metadata/a", { value: "1" }],
];

test.each(free)("%s is not fenced", async (_, method, path, body) => {
  await using fly = await localFly();
  const { id } = await fly.machine();
  await lease(fly, id);
  expect((await fly.call(method, `/apps/edge/machines/${id}${path}`, body)).status).toBeLessThan(300);
});

test("a lease ends with its time, and with its machine", async () => {
  await using fly = await localFly();
  const { id } = await fly.machine();
  await lease(fly, id, "?ttl=5");
  await fly.clock.advance(5000);
  expect((await fly.call("POST", `/apps/edge/machines/${id}/cordon`)).status).toBe(200);
  const { nonce } = (await lease(fly, id, "?ttl=600")).body.data;
  await fly.call("DELETE", `/apps/edge/machines/${id}?force=true`, undefined, header(nonce));
  await fly.call("GET", `/apps/edge/machines/${id}/wait?state=destroyed`);
  expect(fly.machines()[0]).not.toHaveProperty("lease");
});
