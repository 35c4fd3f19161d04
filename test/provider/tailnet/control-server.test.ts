import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../../lib/clock.ts";
import { createHeadscale } from "../../../tailnet/headscale.ts";
import { originCertificate, startOrigin } from "../../image/support/origin.ts";
import { errorMessage } from "../../support/error-message.ts";
import { httpServer } from "../../support/http-server.ts";

const clock = { now: () => Date.parse("2026-01-01T00:00:00Z"), after: systemClock.after };
const asked = { tags: ["pop", "edge"], expirySeconds: 3600, description: "fly-pops cdg-1" };

/** An HTTPS server with a certificate signed by itself. */
async function secure() {
  const server = await startOrigin({ tls: true });
  onTestFinished(() => server.close());
  return `https://127.0.0.1:${server.port}`;
}

/** Calls are tried again after a second; on this clock that takes no time. */
const hasty = { ...clock, after: (_ms: number, run: () => void) => systemClock.after(0, run) };

test("a control server of an unknown authority: which key of the stack file helps", async () => {
  const url = await secure();
  expect(
    await errorMessage(createHeadscale({ server: url, apiKey: "planted-key" }, { clock: hasty }).mint(asked)),
  ).toMatch(
    /^make an auth key: https:\/\/127\.0\.0\.1:\d+ has a certificate of an untrusted CA \([A-Z_]+\)\. Set tailnet\.ca to its CA certificates$/,
  );
});

test("with its authorities named, its name counts", async () => {
  const url = await secure();
  const driver = createHeadscale({ server: url, apiKey: "planted-key" }, { clock: hasty, ca: originCertificate });
  expect(await errorMessage(driver.mint(asked))).toMatch(
    /^make an auth key: the certificate of \S+ is for another name$/,
  );
});

test("headscale is asked for a key with an end and tags, and no user; its numbers come as text", async () => {
  const { url, received } = await httpServer(() => ({
    body: { preAuthKey: { id: "7", key: "hskey-auth-planted", expiration: "2026-01-01T01:00:00Z" } },
  }));
  const driver = createHeadscale({ server: `${url}/`, apiKey: "planted-key" }, { clock });
  expect(await driver.mint(asked)).toEqual({ id: "7", key: "hskey-auth-planted", expires: "2026-01-01T01:00:00Z" });
  expect(received.map((it) => [it.method, it.url, it.headers.authorization, JSON.parse(it.body)])).toEqual([
    [
      "POST",
      "/api/v1/preauthkey",
      "Bearer planted-key",
      { reusable: false, ephemeral: false, expiration: "2026-01-01T01:00:00.000Z", aclTags: ["tag:pop", "tag:edge"] },
    ],
  ]);
});

test("its nodes come with the names they gave themselves, whatever the field of their tags is called", async () => {
  const nodes = [
    {
      id: "1",
      name: "pop-cdg-1",
      givenName: "pop-cdg-1-x",
      forcedTags: ["tag:pop"],
      validTags: [],
      online: false,
      lastSeen: "2026-01-01T00:00:00Z",
      createdAt: "2025-12-01T00:00:00Z",
      preAuthKey: { id: "7", user: null },
    },
    { id: 2, name: "laptop", tags: null },
  ];
  const { url } = await httpServer(() => ({ body: { nodes } }));
  expect(await createHeadscale({ server: url, apiKey: "k" }, { clock }).devices()).toEqual([
    {
      id: "1",
      hostname: "pop-cdg-1",
      tags: ["pop"],
      online: false,
      lastSeen: "2026-01-01T00:00:00Z",
      created: "2025-12-01T00:00:00Z",
      keyId: "7",
    },
    // What it does not say counts as online.
    { id: "2", hostname: "laptop", tags: [], online: true },
  ]);
});

test.each([
  [404, { code: 5, message: "no such key" }],
  [500, { code: 2, message: "record not found" }],
])("what is gone already is gone: %d", async (status, body) => {
  const { url } = await httpServer(() => ({ status, body }));
  const driver = createHeadscale({ server: url, apiKey: "k" }, { clock });
  await driver.revoke("7");
  await driver.removeDevice("7");
});

test("a redirect is not followed: the credential goes to no other server", async () => {
  const { url, received } = await httpServer(() => ({ status: 302, headers: { location: "http://127.0.0.1:9/" } }));
  expect(await errorMessage(createHeadscale({ server: url, apiKey: "planted-key" }, { clock }).devices())).toMatch(
    /^list nodes: rejected without a reason \(302, /,
  );
  expect(received).toHaveLength(1);
});
