/** What flyctl asks beside the Machines API: GraphQL, organizations, builds, releases; and a volume given by its name. */
import axios from "axios";
import { expect, test } from "vitest";
import { type LocalFlyUnderTest, localFly } from "../../support/local-fly.ts";

const request = (it: LocalFlyUnderTest, method: string, path: string, data?: unknown, token = it.token) =>
  axios.request({
    method,
    url: `${it.url}${path}`,
    data,
    headers: { authorization: `Bearer ${token}` },
    validateStatus: () => true,
    proxy: false,
  });
const ask = async (it: LocalFlyUnderTest, query: string, variables = {}) =>
  (await request(it, "POST", "/graphql", { query, variables })).data;

test("GraphQL answers what was asked, under the names the query gives", async () => {
  await using it = await localFly();
  const { id } = await it.machine();
  await it.call("POST", "/apps/edge/ip_assignments", { type: "v4" });
  await it.call("POST", "/apps/edge/ip_assignments", { type: "shared_v4" });
  const query = `query ($appName: String!) { appcompact: app(name: $appName) {
    name status internalNumericId postgresAppRole: role { name } organization { slug internalNumericId }
    machines { nodes { id } } ipAddresses { nodes { address type } } sharedIpAddress } }`;
  expect(await ask(it, query, { appName: "edge" })).toEqual({
    data: {
      appcompact: {
        name: "edge",
        status: "deployed",
        // Go reads the one as a number, the other as text.
        internalNumericId: expect.any(Number),
        postgresAppRole: null,
        organization: { slug: "personal", internalNumericId: "1" },
        machines: { nodes: [{ id }] },
        ipAddresses: { nodes: [{ address: "203.0.113.1", type: "v4" }] },
        sharedIpAddress: "203.0.113.254",
      },
    },
  });
});

test.each([
  ["an app that is not there", `{ app(name: "gone") { id } }`, /Could not find App/],
  ["a machine that is not there", `{ machine(machineId: "gone") { id } }`, /Could not find Machine/],
  ["an organization that is not there", `{ organization(slug: "gone") { id } }`, /Could not find Organization/],
  ["an unknown field", `{ app(name: "edge") { certificates } }`, /Cannot query field "certificates"/],
  ["an image of another repository", `{ latestImageDetails(image: "nginx") { tag } }`, /Unknown repository/],
  ["half a query", "{", /Syntax Error/],
])("GraphQL says in `errors` what is wrong: %s", async (_, query, message) => {
  await using it = await localFly();
  const { errors } = await ask(it, query);
  expect(errors[0].message).toMatch(message);
});

test("a release is numbered, changed, listed newest first, and survives a restart", async () => {
  await using it = await localFly();
  await it.machine();
  const release = {
    app_name: "edge",
    image: "registry.example/pop:1",
    strategy: "ROLLING",
    definition: { app: "edge" },
  };
  const [first, second] = [
    await request(it, "POST", "/api/v1/releases", release),
    await request(it, "POST", "/api/v1/releases", release),
  ];
  expect([first.status, first.data.release.version, second.data.release.version]).toEqual([201, 1, 2]);
  const done = await request(it, "PATCH", `/api/v1/releases/${second.data.release.id}`, { status: "complete" });
  expect([done.status, done.data.status]).toEqual([200, "complete"]);
  await it.restart();
  const list = await request(it, "GET", "/api/v1/apps/edge/releases?limit=1");
  expect(list.data.releases).toMatchObject([{ version: 2, status: "complete", image_ref: release.image }]);
  expect((await request(it, "GET", "/api/v1/apps/edge/releases/current")).data.version).toBe(2);
});

test.each([
  ["POST", "/api/v1/releases", { app_name: "gone" }],
  ["POST", "/api/v1/builds", { app_name: "gone" }],
  ["PATCH", "/api/v1/releases/gone", { status: "complete" }],
  ["GET", "/api/v1/apps/edge/releases/current", undefined],
  ["GET", "/api/v1/organizations/gone", undefined],
  ["POST", "/v1/graphql", { query: "{ platform { requestRegion } }" }],
  ["GET", "/v1/api/organizations", undefined],
])("what is not there is a 404: %s %s", async (method, path, body) => {
  await using it = await localFly();
  await it.machine();
  expect((await request(it, method, path, body)).status).toBe(404);
});

test("the other servers want the token too", async () => {
  await using it = await localFly();
  expect((await request(it, "POST", "/graphql", { query: "{ platform { requestRegion } }" }, "wrong")).status).toBe(
    401,
  );
  expect((await request(it, "GET", "/api/v1/organizations", undefined, "wrong")).status).toBe(401);
});

test("a mount may name its volume: a free one in the region is taken, and shown by its id", async () => {
  await using it = await localFly();
  await it.call("POST", "/apps", { name: "edge", org_slug: "personal" });
  const { body: volume } = await it.call("POST", "/apps/edge/volumes", { name: "data", region: "cdg", size_gb: 1 });
  const config = { image: "registry.example/pop:1", mounts: [{ volume: "data", path: "/var/lib/data" }] };
  const create = (region: string) => it.call("POST", "/apps/edge/machines", { config, region });
  expect((await create("ams")).status).toBe(400);
  const made = await create("cdg");
  expect(made.body.config.mounts).toMatchObject([{ volume: volume.id, name: "data" }]);
  // Taken: there is no second one of that name.
  expect(await create("cdg")).toMatchObject({ status: 400, body: { error: "volume not found" } });
});
