import { expect, test } from "vitest";
import { Fly } from "../../../fly/api.ts";
import { FlyError } from "../../../fly/errors.ts";
import type { Clock } from "../../../lib/clock.ts";
import { type Answer, httpServer } from "../../support/http-server.ts";

const token = "planted-token-0123456789";

/** Waiting takes no time, and is noted. */
function hastyClock() {
  const waits: number[] = [];
  let now = 0;
  const clock: Clock = {
    now: () => now,
    after(ms, run) {
      waits.push(ms);
      now += ms;
      queueMicrotask(run);
      return () => {};
    },
  };
  return { clock, waits };
}

async function flyOver(answer: Parameters<typeof httpServer>[0], withToken = token) {
  const { url, received } = await httpServer(answer);
  const { clock, waits } = hastyClock();
  return { fly: new Fly({ endpoint: url, token: withToken, clock, random: () => 0.5 }), received, waits };
}

const failure = async (call: Promise<unknown>): Promise<FlyError> => {
  const error = await call.then(
    () => undefined,
    (it: unknown) => it,
  );
  expect(error).toBeInstanceOf(FlyError);
  return error as FlyError;
};

test("an update goes out with nonce, version and the whole config", async () => {
  const { fly, received } = await flyOver(() => ({ body: { id: "m1", instance_id: "v2" } }));
  await fly.updateMachine("my-app", "m1", { config: { image: "i" }, current_version: "v1" }, "nonce1");
  expect(received).toEqual([
    expect.objectContaining({
      method: "POST",
      url: "/v1/apps/my-app/machines/m1",
      body: JSON.stringify({ config: { image: "i" }, current_version: "v1" }),
      headers: expect.objectContaining({
        authorization: `Bearer ${token}`,
        "fly-machine-lease-nonce": "nonce1",
        "content-type": "application/json",
      }),
    }),
  ]);
});

test("a wait is pinned to its version", async () => {
  const { fly, received } = await flyOver(() => ({ body: { ok: true } }));
  await fly.waitMachine("a", "m1", { states: ["started", "failed"], version: "v2", seconds: 10 });
  expect(received.map(({ url }) => url)).toEqual([
    "/v1/apps/a/machines/m1/wait?state=started%2Cfailed&version=v2&timeout=10",
  ]);
});

test("an id cannot reach another object", async () => {
  const { fly, received } = await flyOver(() => ({ body: { id: "x" } }));
  await fly.getMachine("a", "../../other?x=1");
  expect(received[0]?.url).toBe("/v1/apps/a/machines/..%2F..%2Fother%3Fx%3D1");
});

test.each([
  ["fm2_abc,fm2_def", "FlyV1 fm2_abc,fm2_def"],
  ["FlyV1 fm2_abc", "FlyV1 fm2_abc"],
  ["Bearer FlyV1 fm1r_abc", "FlyV1 fm1r_abc"],
  ["Bearer plain", "Bearer plain"],
  ["  plain ", "Bearer plain"],
])("the token %j goes out as %j", async (pasted, sent) => {
  const { fly, received } = await flyOver(() => ({ body: [] }), pasted);
  await fly.listVolumes("a");
  expect(received[0]?.headers.authorization).toBe(sent);
});

test("an error says what was asked, why not, code and request id", async () => {
  const { fly } = await flyOver(() => ({
    status: 412,
    headers: { "fly-request-id": "01K5-fra" },
    body: {
      error: "insufficient resources to create new machine with existing volume id 'vol_1'",
      status: "volume_placement_capacity",
    },
  }));
  const error = await failure(fly.createMachine("a", { name: "cdg-1", region: "cdg", config: { image: "i" } }));
  expect(error.message).toBe(
    "create machine cdg-1 in cdg: insufficient resources to create new machine with existing volume id 'vol_1' (412, volume_placement_capacity, request 01K5-fra)",
  );
  expect(error).toMatchObject({
    status: 412,
    code: "volume_placement_capacity",
    requestId: "01K5-fra",
    uncertain: false,
  });
});

test.each<[string, Answer, string]>([
  ["plain text", { status: 404, body: "404 page not found" }, "404 page not found"],
  ["an empty body", { status: 401, body: "" }, "no reason given"],
  [
    "the lease envelope",
    { status: 409, body: { status: "error", message: "machine ID m1 lease currently held by x", code: "invalid" } },
    "machine ID m1 lease currently held by x",
  ],
  ["`message` before `error`", { status: 400, body: { error: "a", message: "b" } }, "b"],
])("%s is reported unchanged", async (_, answer, detail) => {
  const { fly } = await flyOver(() => answer);
  expect((await failure(fly.getMachine("a", "m1"))).detail).toBe(detail);
});

test("a long body is cut", async () => {
  const { fly } = await flyOver(() => ({ status: 400, body: "x".repeat(5000) }));
  expect((await failure(fly.getMachine("a", "m1"))).detail).toHaveLength(300);
});

test("a token that the server sends back is in no error", async () => {
  const { fly } = await flyOver(({ headers }) => ({
    status: 401,
    body: { error: `bad header ${headers.authorization}` },
  }));
  const error = await failure(fly.getMachine("a", "m1"));
  expect(JSON.stringify({ ...error, message: error.message, stack: error.stack, cause: error.cause })).not.toContain(
    token,
  );
});

test("a token is in no error of a broken connection either", async () => {
  const { fly } = await flyOver(() => "hang up");
  const error = await failure(fly.createVolume("a", { name: "v" }));
  expect(error).toMatchObject({ status: undefined, uncertain: true });
  expect(JSON.stringify({ ...error, message: error.message, stack: error.stack, cause: error.cause })).not.toContain(
    token,
  );
});

test("a create whose answer is lost goes out once", async () => {
  const { fly, received } = await flyOver(() => "hang up");
  await failure(fly.createMachine("a", { name: "m", config: { image: "i" } }));
  expect(received).toHaveLength(1);
});

test("a read whose answer is lost is repeated", async () => {
  const { fly, received, waits } = await flyOver((_, index) => (index < 2 ? "hang up" : { body: { id: "m1" } }));
  expect(await fly.getMachine("a", "m1")).toEqual({ id: "m1" });
  expect(received).toHaveLength(3);
  expect(waits).toEqual([500, 1000]);
});

test("a refused pace is honoured, for a create too", async () => {
  const { fly, received, waits } = await flyOver((_, index) =>
    index === 0
      ? { status: 429, headers: { "retry-after": "3" }, body: { error: "rate limit exceeded" } }
      : { body: { id: "v1" } },
  );
  await fly.createVolume("a", { name: "v" });
  expect(received).toHaveLength(2);
  expect(waits).toEqual([3000]);
});

test("a redirect is not followed: a POST would come out as a GET", async () => {
  const { fly, received } = await flyOver(() => ({ status: 302, headers: { location: "/elsewhere" } }));
  expect((await failure(fly.createVolume("a", { name: "v" }))).status).toBe(302);
  expect(received).toHaveLength(1);
});

test("an answer of another shape is an error that names the field, and leaves a write in doubt", async () => {
  const { fly } = await flyOver(() => ({ body: { name: "no id" } }));
  const error = await failure(fly.createVolume("a", { name: "v", region: "cdg" }));
  expect(error.message).toContain("create volume v in cdg: unexpected response, id: ");
  expect(error.uncertain).toBe(true);
});

test("fields we do not know travel through", async () => {
  const { fly } = await flyOver(() => ({
    body: { id: "m1", config: { image: "i", brand_new: { a: 1 } }, also_new: true },
  }));
  expect(await fly.getMachine("a", "m1")).toEqual({
    id: "m1",
    config: { image: "i", brand_new: { a: 1 } },
    also_new: true,
  });
});

test("an endpoint where nothing listens is named, with what to do; nothing is in doubt", async () => {
  const { clock } = hastyClock();
  const fly = new Fly({ endpoint: "http://127.0.0.1:9", token, clock });
  const error = await failure(fly.createVolume("a", { name: "v", region: "cdg" }));
  expect(error.message).toBe(
    "create volume v in cdg: no response from Fly, nothing listens at http://127.0.0.1:9 (ECONNREFUSED). Check fly:endpoint or FLY_API_HOSTNAME; for the local stack run: npm run local",
  );
  expect(error.uncertain).toBe(false);
});

test("a proxy of the house is not asked for loopback", async () => {
  process.env.http_proxy = "http://127.0.0.1:9";
  try {
    const { fly } = await flyOver(() => ({ body: [] }));
    expect(await fly.listVolumes("a")).toEqual([]);
  } finally {
    delete process.env.http_proxy;
  }
});
