import { afterEach, expect, test } from "vitest";
import { Fly } from "../../../fly/api.ts";
import { inProcess, type LocalFlyUnderTest, localFly } from "../../support/local-fly.ts";

let fly: LocalFlyUnderTest;
afterEach(() => fly.close());
const begin = async (options: Parameters<typeof localFly>[0] = {}) => {
  fly = await localFly(options);
  await fly.call("POST", "/apps", { name: "edge", org_slug: "personal" });
};
const createVolume = () => fly.call("POST", "/apps/edge/volumes", { name: "data", region: "ams" });

test("drop request: no answer, and nothing happened", async () => {
  await begin();
  fly.faults.next("POST volumes", "drop request");
  await expect(createVolume()).rejects.toMatchObject({ code: "ECONNRESET" });
  expect(fly.volumes()).toEqual([]);
  expect(fly.fly.calls.list.at(-1)).toMatchObject({ route: "POST volumes", status: 0 });
  expect((await createVolume()).status).toBe(200);
});

test("drop response: no answer, but it happened", async () => {
  await begin();
  fly.faults.next("POST volumes", "drop response");
  await expect(createVolume()).rejects.toMatchObject({ code: "ECONNRESET" });
  expect(fly.volumes()).toHaveLength(1);
});

test("status: Fly's shape by default, a body and headers of one's own, before or after the deed", async () => {
  await begin();
  fly.faults.next("POST volumes", { kind: "status", status: 503 });
  expect(await createVolume()).toMatchObject({ status: 503, body: { error: expect.any(String) } });
  const headers = { "retry-after": "7" };
  fly.faults.next("POST volumes", { kind: "status", status: 429, body: { error: "rate limit exceeded" }, headers });
  expect(await createVolume()).toMatchObject({ status: 429, body: { error: "rate limit exceeded" }, headers });
  expect(fly.volumes()).toEqual([]);
  fly.faults.next("POST volumes", { kind: "status", status: 502, after: true });
  expect((await createVolume()).status).toBe(502);
  expect(fly.volumes()).toHaveLength(1);
});

test("slow: the server's own time passes, no other", async () => {
  await begin();
  fly.faults.next("GET apps/:app", { kind: "slow", ms: 25_000 });
  const before = fly.clock.now();
  expect((await fly.call("GET", "/apps/edge")).status).toBe(200);
  expect(fly.clock.now() - before).toBe(25_000);
});

test("lease lost, lease stolen: the holder finds out at that call", async () => {
  await begin();
  const { id } = await fly.machine();
  const lease = async () => (await fly.call("POST", `/apps/edge/machines/${id}/lease?ttl=60`)).body.data.nonce;
  const cordon = (nonce: string) =>
    fly.call("POST", `/apps/edge/machines/${id}/cordon`, undefined, { "fly-machine-lease-nonce": nonce });
  const nonce = await lease();
  fly.faults.next("POST machines/:id/cordon", "lease lost");
  expect((await cordon(nonce)).status).toBe(200);
  expect((await fly.call("GET", `/apps/edge/machines/${id}/lease`)).status).toBe(404);
  const second = await lease();
  fly.faults.next("POST machines/:id/cordon", { kind: "lease stolen", owner: "ci@example.org", ttlSeconds: 60 });
  expect((await cordon(second)).body.error).toContain("currently held by ci@example.org");
});

test("rules count their own calls: nth, times, methods, every call; pending ones can be asked for", async () => {
  await begin();
  const fault = { kind: "status", status: 500 } as const;
  fly.faults.add({ match: "GET apps/:app", nth: 2, times: 2, fault });
  const statuses = [];
  for (let call = 0; call < 4; call++) statuses.push((await fly.call("GET", "/apps/edge")).status);
  expect(statuses).toEqual([200, 500, 500, 200]);
  expect(fly.faults.pending()).toEqual([]);
  fly.faults.add({ match: "*", nth: 3, fault });
  expect((await fly.call("GET", "/apps/edge")).status).toBe(200);
  expect((await createVolume()).status).toBe(200);
  expect(fly.faults.pending()).toHaveLength(1);
  expect((await fly.call("GET", "/platform/regions")).status).toBe(500);
  const takeBack = fly.faults.add({ match: "GET", times: Number.POSITIVE_INFINITY, fault });
  expect((await fly.call("GET", "/apps/edge")).status).toBe(500);
  expect((await createVolume()).status).toBe(200);
  takeBack();
  expect((await fly.call("GET", "/apps/edge")).status).toBe(200);
});

test("a rule for a route that does not exist is refused: it would never strike", async () => {
  await begin();
  expect(() => fly.faults.next("POST machine/:id", "drop request")).toThrow(/no route is called "POST machine\/:id"/);
});

test("the call log counts per route, methods and mutations, and keeps what was said", async () => {
  await begin();
  await createVolume();
  await fly.call("GET", "/apps/edge/volumes?summary=true");
  await fly.call("GET", "/nowhere");
  expect(fly.calls("POST", "volumes")).toBe(1);
  expect(fly.calls("GET", "volumes")).toBe(1);
  expect(fly.calls("POST")).toBe(2);
  expect(fly.calls()).toBe(4);
  expect(fly.fly.calls.mutations()).toBe(2);
  expect(fly.fly.calls.list.slice(1)).toMatchObject([
    { method: "POST", route: "POST volumes", path: "/v1/apps/edge/volumes", body: { name: "data" }, status: 200 },
    { route: "GET volumes", query: "summary=true" },
    { route: undefined, status: 404 },
  ]);
  fly.fly.calls.clear();
  expect(fly.calls()).toBe(0);
});

// Quirks of live Fly

test("born late: a new app and a new machine read 404 for a moment", async () => {
  fly = await localFly({ quirks: { bornMs: 3000 } });
  await fly.call("POST", "/apps", { name: "edge", org_slug: "personal" });
  expect((await fly.call("GET", "/apps/edge")).status).toBe(404);
  await fly.clock.advance(3000);
  const { id } = (await fly.call("POST", "/apps/edge/machines", { config: { image: "registry.example/pop:1" } })).body;
  expect((await fly.call("GET", `/apps/edge/machines/${id}/wait`)).status).toBe(404);
  expect((await fly.call("GET", "/apps/edge/machines")).body).toEqual([]);
  await fly.clock.advance(3000);
  expect((await fly.call("GET", `/apps/edge/machines/${id}`)).status).toBe(200);
});

test("bound for long: a volume lets go of its machine two minutes late", async () => {
  await begin({ quirks: { boundMs: 120_000 } });
  const { id } = (await createVolume()).body;
  const machine = await fly.machine({
    config: { image: "registry.example/pop:1", mounts: [{ volume: id, path: "/v" }] },
  });
  await fly.call("DELETE", `/apps/edge/machines/${machine.id}?force=true`);
  await fly.call("GET", `/apps/edge/machines/${machine.id}/wait?state=destroyed`);
  await fly.clock.advance(119_000);
  expect((await fly.call("DELETE", `/apps/edge/volumes/${id}`)).status).toBe(412);
  await fly.clock.advance(1000);
  expect((await fly.call("DELETE", `/apps/edge/volumes/${id}`)).status).toBe(200);
});

test("still active: a start right after a stop is refused though the machine reads stopped", async () => {
  await begin({ quirks: { stillActiveMs: 10_000 } });
  const { id } = await fly.machine();
  const path = `/apps/edge/machines/${id}`;
  await fly.call("POST", `${path}/stop`);
  await fly.call("GET", `${path}/wait?state=stopped`);
  expect(await fly.call("POST", `${path}/start`)).toMatchObject({
    status: 412,
    body: { error: "failed_precondition: machine still active, refusing to start" },
  });
  await fly.clock.advance(10_000);
  expect((await fly.call("POST", `${path}/start`)).status).toBe(200);
});

test("rate limits: three at once, then one a second; reading a machine takes more", async () => {
  await begin({ quirks: { rateLimits: true } });
  const list = async () => (await fly.call("GET", "/apps/edge/machines")).status;
  expect([await list(), await list(), await list(), await list()]).toEqual([200, 200, 200, 429]);
  const refused = await fly.call("GET", "/apps/edge/machines");
  expect(refused).toMatchObject({ body: { error: "rate limit exceeded" }, headers: { "retry-after": "1" } });
  await fly.clock.advance(1000);
  expect([await list(), await list()]).toEqual([200, 429]);
  const { id } = await fly.machine();
  const reads = [];
  for (let call = 0; call < 12; call++) reads.push((await fly.call("GET", `/apps/edge/machines/${id}`)).status);
  expect(reads.filter((it) => it === 429)).toHaveLength(3);
});

test("replicas: another server shows what was before a write, in a state of its own, until it hears of it", async () => {
  await begin({ quirks: { replicas: 2, staleMs: 10_000 } });
  await fly.clock.advance(10_000);
  const made = await fly.call("POST", "/apps/edge/machines", { config: { image: "registry.example/pop:1" } });
  const { id, instance_id: old } = made.body;
  await fly.clock.advance(10_000);
  const path = `/apps/edge/machines/${id}`;
  const posted = await fly.call("POST", path, { config: { image: "registry.example/pop:2" } });
  const cookie = posted.headers["set-cookie"]?.split(";")[0] ?? "";
  expect(posted.headers["set-cookie"]).toMatch(/^fly_flaps_affinity=flaps-\d\.\d+; Path=\/v1\/apps\/edge; HttpOnly$/);
  const versions = new Set<string>();
  const states = new Set<string>();
  for (let n = 0; n < 10; n++) {
    const { body } = await fly.call("GET", path);
    versions.add(body.instance_id);
    if (body.instance_id === old) states.add(body.state);
    expect((await fly.call("GET", path, undefined, { cookie })).body.instance_id).toBe(posted.body.instance_id);
  }
  expect([...versions].toSorted()).toEqual([old, posted.body.instance_id].toSorted());
  for (const state of states) expect(["started", "replacing", "replaced"]).toContain(state);
  // Its host, whom a wait asks, knows.
  await fly.call("GET", `${path}/wait?version=${posted.body.instance_id}&state=started`);
  await fly.clock.advance(10_000);
  for (let n = 0; n < 10; n++) expect((await fly.call("GET", path)).body.instance_id).toBe(posted.body.instance_id);
});

test("a server that goes takes with it what only it knew", async () => {
  await begin({ quirks: { replicas: 2, staleMs: 10_000 } });
  await fly.clock.advance(10_000);
  const created = await createVolume();
  const cookie = created.headers["set-cookie"]?.split(";")[0] ?? "";
  const list = async () => (await fly.call("GET", "/apps/edge/volumes", undefined, { cookie })).body.length;
  expect(await list()).toBe(1);
  fly.faults.next("GET volumes", "server goes");
  expect(await list()).toBe(0);
  await fly.clock.advance(10_000);
  expect(await list()).toBe(1);
});

test("a new app is unknown, or its token unwelcome, below itself at other servers; itself only without ?wait=true", async () => {
  const statuses = async (path: string) => {
    const all = new Set<number>();
    for (let n = 0; n < 30; n++) all.add((await fly.call("GET", path)).status);
    return [...all].toSorted();
  };
  fly = await localFly({ quirks: { replicas: 2, newAppMs: 20_000 } });
  await fly.call("POST", "/apps?wait=true", { name: "waited", org_slug: "personal" });
  await fly.call("POST", "/apps", { name: "edge", org_slug: "personal" });
  expect(await statuses("/apps/waited")).toEqual([200]);
  expect(await statuses("/apps/edge")).toEqual([200, 404]);
  expect(await statuses("/apps/waited/volumes")).toEqual([200, 401, 404]);
  await fly.clock.advance(20_000);
  expect(await statuses("/apps/edge")).toEqual([200]);
  expect(await statuses("/apps/waited/volumes")).toEqual([200]);
});

test.each([502, undefined])(
  "late: answered at once with %s, done later, and counted as landing until then",
  async (status) => {
    await begin();
    fly.faults.next("POST volumes", { kind: "late", ms: 60_000, ...(status === undefined ? {} : { status }) });
    const answer = createVolume();
    if (status === undefined) await expect(answer).rejects.toMatchObject({ code: "ECONNRESET" });
    else expect((await answer).status).toBe(status);
    expect([fly.volumes().length, fly.faults.landing]).toEqual([0, 1]);
    await fly.clock.advance(60_000);
    expect([fly.volumes().length, fly.faults.landing]).toEqual([1, 0]);
  },
);

test("lists forget now and then, never twice in a row, in either shape that lists have", async () => {
  await begin({ quirks: { emptyLists: 0.9 } });
  await createVolume();
  await fly.call("POST", "/apps/edge/ip_assignments", { type: "v6" });
  const volumes = [];
  for (let n = 0; n < 20; n++) volumes.push((await fly.call("GET", "/apps/edge/volumes")).body.length);
  expect(volumes.join("")).not.toContain("00");
  expect(volumes).toContain(0);
  fly.faults.add({ match: "GET ip_assignments", times: 2, fault: "empty list" });
  expect((await fly.call("GET", "/apps/edge/ip_assignments")).body).toEqual({ ips: [] });
});

test("rows of checks are those of the instance before for a while, with the time they were written", async () => {
  await begin({ quirks: { staleChecksMs: 5_000 } });
  const checks = { health: { type: "http", port: 80, interval: "5s" } };
  const { id } = await fly.machine({ config: { image: "registry.example/pop:1", checks } });
  const row = async () => (await fly.read(id)).checks[0];
  await fly.clock.advance(7_000);
  const before = await row();
  expect(before.status).toBe("passing");
  fly.runner.image("registry.example/pop:2", { check: () => ({ passing: false, output: "no" }) });
  const posted = await fly.call("POST", `/apps/edge/machines/${id}`, {
    config: { image: "registry.example/pop:2", checks },
  });
  await fly.call("GET", `/apps/edge/machines/${id}/wait?version=${posted.body.instance_id}&state=started`);
  await fly.clock.advance(2_000);
  expect(await row()).toEqual(before);
  await fly.clock.advance(5_000);
  expect((await row()).status).toBe("critical");
});

// What the platform does on its own

test("a host that is down: its machines still read, verbs fail, until it is back", async () => {
  await begin();
  const machine = await fly.machine();
  const zone = fly.machines()[0]?.zone ?? "";
  fly.fly.platform.hostDown(zone);
  const down = await fly.read(machine.id);
  expect(down).toMatchObject({ host_status: "unreachable", incomplete_config: { image: "registry.example/pop:1" } });
  expect(down).not.toHaveProperty("config");
  expect(await fly.call("POST", `/apps/edge/machines/${machine.id}/stop`)).toMatchObject({
    status: 503,
    body: { error: expect.stringMatching(/^unavailable: /) },
  });
  expect(fly.machines()[0]?.state).toBe("started");
  fly.fly.platform.hostUp(zone);
  expect(await fly.read(machine.id)).toMatchObject({ host_status: "ok", config: { image: "registry.example/pop:1" } });
});

test("a migration keeps machine and version, and changes volume id and address", async () => {
  await begin();
  const volume = (await createVolume()).body;
  const config = { image: "registry.example/pop:1", mounts: [{ volume: volume.id, path: "/var" }] };
  const before = await fly.machine({ config });
  const { volume: moved } = await fly.fly.platform.migrate(before.id);
  const after = await fly.read(before.id);
  expect(after).toMatchObject({
    id: before.id,
    instance_id: before.instance_id,
    config: { mounts: [{ volume: moved }] },
  });
  expect(after.private_ip).not.toBe(before.private_ip);
  expect((await fly.call("GET", "/apps/edge/volumes")).body).toMatchObject([
    { id: moved, attached_machine_id: before.id },
  ]);
});

// Our own client on it

test("our client speaks to the rules without sockets just as it does over them", async () => {
  await begin();
  const { token, clock, url } = fly;
  const overHttp = new Fly({ endpoint: url, token, clock });
  const withoutSockets = new Fly({ endpoint: url, token, clock, transport: inProcess(fly.fly.handle, clock) });
  const { id } = await fly.machine({ name: "cdg-1" });
  expect(await withoutSockets.getMachine("edge", id)).toEqual(await overHttp.getMachine("edge", id));
  fly.faults.add({ match: "GET machines/:id", times: 1, fault: "drop request" });
  // An idempotent read is tried again after a lost connection, on both roads.
  expect((await withoutSockets.getMachine("edge", id)).id).toBe(id);
  expect(fly.calls("GET", "machines/:id")).toBeGreaterThanOrEqual(4);
});
