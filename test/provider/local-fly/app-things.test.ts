import { expect, test } from "vitest";
import { localFly } from "../../support/local-fly.ts";

const image = "registry.example/pop:1";
const withApp = async () => {
  const fly = await localFly();
  await fly.call("POST", "/apps", { name: "edge", org_slug: "personal" });
  return fly;
};

// Addresses

test("addresses come from the documentation ranges, the lowest free first", async () => {
  await using fly = await withApp();
  const assign = async (type: string) => (await fly.call("POST", "/apps/edge/ip_assignments", { type })).body;
  expect(await assign("v4")).toEqual({
    ip: "203.0.113.1",
    region: "global",
    service_name: "",
    shared: false,
    type: "v4",
    created_at: "2026-01-01T00:00:00Z",
    network: null,
  });
  expect((await assign("v4")).ip).toBe("203.0.113.2");
  expect((await assign("v6")).ip).toBe("2001:db8::1");
  await fly.call("DELETE", "/apps/edge/ip_assignments/203.0.113.1");
  expect((await assign("v4")).ip).toBe("203.0.113.1");
});

test("the shared address is one for all apps, and one row per app", async () => {
  await using fly = await withApp();
  await fly.call("POST", "/apps", { name: "other", org_slug: "personal" });
  const assign = async (app: string) =>
    (await fly.call("POST", `/apps/${app}/ip_assignments`, { type: "shared_v4" })).body;
  const [first, again, other] = [await assign("edge"), await assign("edge"), await assign("other")];
  expect(again).toEqual(first);
  expect(first).toMatchObject({ shared: true });
  expect(other.ip).toBe(first.ip);
  expect((await fly.call("GET", "/apps/edge/ip_assignments")).body.ips).toHaveLength(1);
});

test("a private address carries its network", async () => {
  await using fly = await withApp();
  const { body } = await fly.call("POST", "/apps/edge/ip_assignments", { type: "private_v6" });
  expect(body).toMatchObject({ ip: expect.stringMatching(/^fdaa:/), network: { name: "", org_slug: "personal" } });
  const unknown = await fly.call("POST", "/apps/edge/ip_assignments", { type: "private_v6", network: "none" });
  expect(unknown).toMatchObject({ status: 400, body: { error: "network not found" } });
});

test.each([
  ["v5", 400],
  ["egress_pair", 501],
])("an address of type %s is a %i", async (type, status) => {
  await using fly = await withApp();
  expect((await fly.call("POST", "/apps/edge/ip_assignments", { type })).status).toBe(status);
});

test("releasing an IPv6 address needs no escaping; releasing it twice is a 404", async () => {
  await using fly = await withApp();
  const { ip } = (await fly.call("POST", "/apps/edge/ip_assignments", { type: "v6" })).body;
  expect((await fly.call("DELETE", `/apps/edge/ip_assignments/${ip}`)).status).toBe(204);
  expect((await fly.call("DELETE", `/apps/edge/ip_assignments/${encodeURIComponent(ip)}`)).status).toBe(404);
});

// Secrets

test("each change of secrets is one version; values show only when asked for", async () => {
  await using fly = await withApp();
  const set = await fly.call("POST", "/apps/edge/secrets", { values: { B: "2", A: "1" } });
  expect(set.body).toMatchObject({ version: 1, secrets: [{ name: "A" }, { name: "B" }] });
  expect(JSON.stringify(set.body)).not.toContain('"1"');
  const one = await fly.call("POST", "/apps/edge/secrets/C", { value: "3" });
  expect(one).toMatchObject({ status: 201, body: { name: "C", version: 2 } });
  expect((await fly.call("POST", "/apps/edge/secrets", { values: { A: null, B: "4" } })).body.version).toBe(3);
  expect((await fly.call("DELETE", "/apps/edge/secrets/C")).body).toMatchObject({ version: 4 });
  expect((await fly.call("GET", "/apps/edge/secrets?show_secrets=true")).body.secrets).toMatchObject([
    { name: "B", value: "4" },
  ]);
  expect((await fly.call("GET", "/apps/edge/secrets/A")).status).toBe(404);
  expect((await fly.call("DELETE", "/apps/edge/secrets/A")).status).toBe(404);
});

test("a digest changes with the value and only with it", async () => {
  await using fly = await withApp();
  const set = async (value: string) => (await fly.call("POST", "/apps/edge/secrets/A", { value })).body.digest;
  const [first, second, third] = [await set("1"), await set("2"), await set("1")];
  expect(second).not.toBe(first);
  expect(third).toBe(first);
});

test.each(["my-key", "1ST", "A B", "A=B"])("a secret called %j is a 400", async (name) => {
  await using fly = await withApp();
  expect((await fly.call("POST", "/apps/edge/secrets", { values: { [name]: "x" } })).status).toBe(400);
});

test("a machine keeps the secrets of its version over stop and start; the next update sees the new ones", async () => {
  await using fly = await withApp();
  await fly.call("POST", "/apps/edge/secrets", { values: { A: "old" } });
  const { id } = await fly.machine();
  await fly.call("POST", "/apps/edge/secrets", { values: { A: "new" } });
  const path = `/apps/edge/machines/${id}`;
  await fly.call("POST", `${path}/stop`);
  await fly.call("GET", `${path}/wait?state=stopped`);
  await fly.call("POST", `${path}/start`);
  await fly.call("GET", `${path}/wait`);
  const { body } = await fly.call("POST", path, { config: { image } });
  await fly.call("GET", `${path}/wait?version=${body.instance_id}`);
  expect(fly.runner.boots.map((it) => it.env.A)).toEqual(["old", "old", "new"]);
});

test("min_secrets_version refuses what is not there yet; skip_secrets gives none", async () => {
  await using fly = await withApp();
  await fly.call("POST", "/apps/edge/secrets", { values: { A: "1" } });
  const create = (body: Record<string, unknown>) =>
    fly.call("POST", "/apps/edge/machines", { config: { image }, ...body });
  expect((await create({ min_secrets_version: 2 })).status).toBe(412);
  expect((await create({ min_secrets_version: 1 })).status).toBe(200);
  await fly.machine({ skip_secrets: true });
  expect(fly.runner.boots.at(-1)?.env).not.toHaveProperty("A");
});

// Metadata

test("metadata changes at once, without a new version and without a lease", async () => {
  await using fly = await withApp();
  const machine = await fly.machine({ config: { image, metadata: { a: "1", b: "2" } } });
  await fly.call("POST", `/apps/edge/machines/${machine.id}/lease?ttl=60`);
  const path = `/apps/edge/machines/${machine.id}/metadata`;
  expect((await fly.call("POST", `${path}/c`, { value: "3" })).status).toBe(204);
  expect((await fly.call("DELETE", `${path}/a`)).status).toBe(204);
  expect((await fly.call("GET", path)).body).toEqual({ b: "2", c: "3" });
  expect((await fly.call("PATCH", path, { metadata: { b: null, d: "4" } })).status).toBe(204);
  expect((await fly.call("GET", `${path}/d`)).body).toEqual({ value: "4" });
  expect((await fly.call("GET", `${path}/b`)).status).toBe(404);
  expect((await fly.call("PUT", path, { metadata: { e: "5" } })).status).toBe(204);
  const after = await fly.read(machine.id);
  expect(after.config.metadata).toEqual({ e: "5" });
  expect(after.instance_id).toBe(machine.instance_id);
  expect(fly.runner.boots).toHaveLength(1);
});

test("machine_version fences metadata", async () => {
  await using fly = await withApp();
  const machine = await fly.machine();
  const put = (machine_version: string) =>
    fly.call("PUT", `/apps/edge/machines/${machine.id}/metadata`, { metadata: { a: "1" }, machine_version });
  expect((await put("01JZZZZZZZZZZZZZZZZZZZZZZZ")).status).toBe(412);
  expect((await put(machine.instance_id)).status).toBe(204);
});
