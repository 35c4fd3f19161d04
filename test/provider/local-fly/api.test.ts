import { expect, test } from "vitest";
import { localFly } from "../../support/local-fly.ts";

const app = { name: "edge", org_slug: "personal" };

test.each([
  ["no credential", { authorization: "" }],
  ["another token", { authorization: "Bearer wrong" }],
  ["the token without a scheme in front of something else", { authorization: "Basic local-fly-test-token-x" }],
])("%s is a 401 that says nothing else", async (_, headers) => {
  await using fly = await localFly();
  const reply = await fly.call("POST", "/apps", app, headers);
  expect(reply).toMatchObject({ status: 401, body: { error: "unauthorized" } });
  expect(fly.flyState().apps).toEqual({});
});

test.each(["Bearer ", "bearer ", "FlyV1 ", "FlyV1 Bearer ", ""])(
  "the token is taken after the scheme %j",
  async (scheme) => {
    await using fly = await localFly();
    expect((await fly.call("GET", "/tokens/current", undefined, { authorization: scheme + fly.token })).status).toBe(
      200,
    );
  },
);

test("every answer carries a request id: a ULID and a region", async () => {
  await using fly = await localFly();
  const replies = [
    await fly.call("GET", "/apps?org_slug=personal"),
    await fly.call("GET", "/apps/absent"),
    await fly.call("GET", "/nowhere"),
    await fly.call("GET", "/apps", undefined, { authorization: "Bearer wrong" }),
  ];
  for (const { headers } of replies) expect(headers["fly-request-id"]).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}-[a-z]{3}$/);
  expect(new Set(replies.map((it) => it.headers["fly-request-id"])).size).toBe(4);
});

test.each([
  ["GET", "/nowhere"],
  ["GET", "/apps/edge/certificate"],
  ["PATCH", "/apps/edge"],
  ["POST", "/apps/edge/certificates"],
  ["GET", "/apps//machines"],
  ["GET", "/apps/%/machines"],
])("%s %s is Fly's plain 404", async (method, path) => {
  await using fly = await localFly();
  const reply = await fly.call(method, path);
  expect(reply).toMatchObject({ status: 404, body: "404 page not found\n" });
  expect(reply.headers["content-type"]).toContain("text/plain");
});

test.each([
  ["no body", undefined, { error: "EOF" }],
  ["half a body", '{"name":', { error: expect.stringMatching(/^invalid_argument: malformed JSON/) }],
  ["a list", [], { error: expect.stringMatching(/^invalid_argument: body: /) }],
  ["a number for a name", { ...app, name: 7 }, { error: expect.stringMatching(/^invalid_argument: name: /) }],
  ["no organization", { name: "edge" }, { error: "invalid_argument: org_slug is required" }],
])("a create of an app with %s is a 400", async (_, body, error) => {
  await using fly = await localFly();
  expect(await fly.call("POST", "/apps", body)).toMatchObject({ status: 400, body: error });
});

test("unknown keys and query words are ignored", async () => {
  await using fly = await localFly();
  expect((await fly.call("POST", "/apps?wait=true", { ...app, app_role_id: "", surprise: {} })).status).toBe(201);
  expect((await fly.call("GET", "/apps/edge/machines?started")).status).toBe(200);
});

test("an app answers as docs and fly-go read it, and again on get and list", async () => {
  await using fly = await localFly();
  const made = await fly.call("POST", "/apps", { app_name: "edge", org_slug: "personal", network: "pops" });
  expect(made.status).toBe(201);
  expect(made.body).toMatchObject({ id: expect.any(String), name: "edge", network: "pops", status: "pending" });
  expect(made.body.created_at).toBe(fly.clock.now());
  expect((await fly.call("GET", "/apps/edge")).body).toMatchObject({
    name: "edge",
    status: "pending",
    machine_count: 0,
    organization: { slug: "personal", name: "Personal" },
  });
  expect((await fly.call("GET", "/apps?org_slug=personal")).body).toMatchObject({
    total_apps: 1,
    apps: [{ name: "edge", network: "pops" }],
  });
  expect((await fly.call("GET", "/apps?org_slug=other")).body.apps).toEqual([]);
});

test.each([
  ["taken", "edge", { error: "Validation failed: Name has already been taken", status: "name_taken" }],
  ["with an underscore", "my_edge", { error: expect.stringContaining("Name under 63 chars") }],
  ["in capitals", "Edge", { error: expect.stringContaining("Name under 63 chars") }],
  ["too long", "e".repeat(63), { error: expect.stringContaining("Name under 63 chars") }],
])("an app name %s is a 422", async (_, name, body) => {
  await using fly = await localFly();
  await fly.call("POST", "/apps", app);
  expect(await fly.call("POST", "/apps", { ...app, name })).toMatchObject({ status: 422, body });
});

test("an app takes machines, volumes and addresses with it, leases or not, and frees its name", async () => {
  await using fly = await localFly();
  await fly.call("POST", "/apps", app);
  const volume = (await fly.call("POST", "/apps/edge/volumes", { name: "data", region: "ams" })).body;
  const machine = await fly.machine({
    region: "ams",
    config: { image: "registry.example/pop:1", mounts: [{ volume: volume.id, path: "/var" }] },
  });
  await fly.call("POST", "/apps/edge/ip_assignments", { type: "v4" });
  await fly.call("POST", `/apps/edge/machines/${machine.id}/lease?ttl=60`);
  const waiting = fly.call("GET", `/apps/edge/machines/${machine.id}/wait?state=stopped`);
  expect(await fly.call("DELETE", "/apps/edge")).toMatchObject({ status: 202, body: undefined });
  expect((await waiting).status).toBe(404);
  expect((await fly.call("GET", "/apps/edge")).body).toEqual({ error: "app not found" });
  expect(fly.flyState()).toMatchObject({ apps: {}, machines: {}, volumes: {}, addresses: [] });
  expect(fly.runner.running()).toEqual([]);
  expect(fly.runner.volumes.size).toBe(0);
  expect((await fly.call("POST", "/apps", app)).status).toBe(201);
});

test("regions and placements answer in PascalCase, full regions are absent", async () => {
  await using fly = await localFly();
  const regions = (await fly.call("GET", "/platform/regions")).body;
  expect(regions.Nearest).toBe("cdg");
  expect(regions.Regions).toContainEqual(expect.objectContaining({ code: "ams", geo_region: "europe" }));
  fly.fly.platform.full("ams");
  const { body } = await fly.call("POST", "/platform/placements", {
    org_slug: "personal",
    region: "ams,cdg",
    count: 2,
  });
  expect(body).toEqual({ Regions: [{ Region: "cdg", Count: 2, Concurrency: 1 }] });
  const most = await fly.call("POST", "/platform/placements", {
    org_slug: "personal",
    region: "cdg",
    count: 0,
    weights: null,
  });
  expect(most.body.Regions).toMatchObject([{ Region: "cdg", Count: 10 }]);
});

test("the token tells its organization", async () => {
  await using fly = await localFly();
  expect((await fly.call("GET", "/tokens/current")).body.tokens).toMatchObject([{ org_slug: "personal", apps: ["*"] }]);
});

test("a body past 8 MiB is refused before it is read whole", async () => {
  await using fly = await localFly();
  const body = JSON.stringify({ ...app, padding: "x".repeat(9 * 2 ** 20) });
  // Either the answer arrives or the connection is closed under the upload.
  const status = await fly.call("POST", "/apps", body).then(
    (reply) => reply.status,
    () => 413,
  );
  expect(status).toBe(413);
  expect(fly.calls()).toBe(0);
});
