/** Sites with secrets: visitors have to log in at the PoP, or the origin gets a secret. */
import { createServer } from "node:https";
import { dirname } from "node:path";
import type { TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { https, type Visit } from "./support/client.ts";
import { type Origin, originCertificate, originKey, startOrigin } from "./support/origin.ts";
import { build, health, ImageHarness, type Pop } from "./support/pop.ts";
import { originName } from "./support/spec.ts";

const network = { name: "fly-pops-auth", subnet: "172.31.218.0/24", gateway: "172.31.218.1" };
const originPort = 25_362;
const mutualPort = 25_365;
const harness = new ImageHarness("auth");
let origin: Origin;
let pop: Pop;

beforeAll(async () => {
  await harness.sweep();
  const auth = { basic: "passwords" };
  const plain = `http://${network.gateway}:${originPort}`;
  const requestHeaders = { "X-Edge": "fly", "X-Edge-Key": { secret: "edge-key" } };
  const image = await build("auth", {
    sites: [
      { kind: "proxy", host: "guarded.test", origins: [`http://${network.gateway}:${originPort}`], auth },
      { kind: "files", host: "files.test", dir: "site", auth },
      { kind: "files", host: "open.test", dir: "site" },
      {
        kind: "proxy",
        host: "hooks.test",
        origins: [plain],
        auth,
        paths: [{ path: "/hook", kind: "proxy", origins: [plain], open: true }],
      },
      {
        kind: "proxy",
        host: "keyed.test",
        origins: [plain],
        requestHeaders,
        paths: [
          {
            path: "/other/",
            kind: "proxy",
            origins: [plain],
            requestHeaders: { ...requestHeaders, "X-Other": { secret: "edge-key" } },
          },
        ],
      },
      {
        kind: "proxy",
        host: "mutual.test",
        origins: [`https://${network.gateway}:${mutualPort}`],
        tls: { ca: "origin.pem", serverName: originName, certificate: "edge-cert" },
      },
      {
        kind: "proxy",
        host: "keyed-relays.test",
        origins: [plain, `https://${network.gateway}:1`],
        requestHeaders,
      },
    ],
    luggage: {},
    dns: { forward: [] },
    cache: { maxSizeMb: 64, indexMb: 1 },
  });
  await harness.createNetwork(network);
  origin = await startOrigin({ port: originPort });
  pop = await harness.start(image, { volume: await harness.newVolume(), networkName: network.name });
  // Degraded: the machine got no sealed secrets.
  await until(
    () => health(pop),
    (seen) => seen?.code === 200,
  );
});
afterAll(async () => {
  await harness.sweep();
  await origin?.close();
});

const get = (host: string, path = "/", more: Partial<Visit> = {}) => https({ port: pop.https, host, path, ...more });
const login = (user: string, password: string) => ({
  headers: { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` },
});

test("while there is no password file no visitor gets in, and other sites are served", async () => {
  origin.answer("/", (_, response) => response.end("inside"));
  expect((await get("guarded.test")).status).toBe(401);
  expect((await get("guarded.test", "/", login("ada", "lovelace"))).status).toBe(403);
  expect((await get("files.test", "/", login("ada", "lovelace"))).status).toBe(403);
  expect((await get("open.test")).status).toBe(200);
  expect(origin.seen).toEqual([]);
});

test("a visitor with a name and its password gets in, and the origin does not see the password", async () => {
  // As `pop-secrets` decrypts it. Hashes by `openssl passwd -apr1` and `-6`.
  const lines = [
    "ada:$apr1$fixedsal$F.KlGU9dbzxrdhzaBXPcv/",
    "grace:$6$fixedsalt$YVoOe3GtlkjoByGuvPlXkNBBKGMfkAv1T.c6M/J/3yTrJ8uJ16BnaEnx9vEQzJA/Bxg80QSpVDQ75pX5kXHV..",
  ].join("\n");
  const text = Buffer.from(lines).toString("base64");
  const file = "/run/secrets/nginx.auth/passwords";
  const write = `mkdir -p -m 0751 /run/secrets /run/secrets/nginx.auth && echo ${text} | base64 -d > ${file} && chown nginx:nginx ${file} && chmod 0400 ${file}`;
  expect(await pop.exec(["/bin/sh", "-c", write])).toMatchObject({ code: 0 });

  const without = await get("guarded.test");
  expect([without.status, without.headers["www-authenticate"]]).toEqual([401, 'Basic realm="Restricted"']);
  for (const wrong of [
    login("ada", "hopper"),
    login("nobody", "lovelace"),
    login("ada", ""),
    { headers: { authorization: "Basic x" } },
  ])
    expect((await get("guarded.test", "/", wrong)).status).toBe(401);
  expect(origin.seen).toEqual([]);
  for (const right of [login("ada", "lovelace"), login("grace", "hopper")]) {
    expect(await get("guarded.test", "/", right)).toMatchObject({ status: 200, body: "inside" });
    expect((await get("files.test", "/", right)).status).toBe(200);
  }
  expect(origin.seen).toHaveLength(2);
  for (const { headers } of origin.seen) {
    expect(headers).not.toHaveProperty("authorization");
    expect(headers).toMatchObject({ host: "guarded.test", "x-forwarded-proto": "https", "x-real-ip": "203.0.113.9" });
  }
  expect((await get("files.test", "/about")).status).toBe(401);
});

test("no spelling of a path bypasses it; ACME challenges need no password", async () => {
  origin.answer("/.well-known/acme-challenge/a-B_9", (_, response) => response.end("proof"));
  expect((await get("guarded.test", "/.well-known/acme-challenge/a-B_9")).body).toBe("proof");
  const before = origin.seen.length;
  for (const path of [
    "//",
    "/%2e/",
    "/.well-known/acme-challenge/../../",
    "/.well-known/acme-challenge/%2e%2e/x",
    "/?/.well-known/acme-challenge/a",
  ])
    expect((await get("guarded.test", path)).status).toBe(401);
  expect(origin.seen).toHaveLength(before);
});

test("an open path needs no password, and its own Authorization reaches the origin", async () => {
  origin.answer("/hook", (request, response) => response.end(String(request.headers.authorization)));
  expect((await get("hooks.test", "/hook", { headers: { authorization: "Bearer t" } })).body).toBe("Bearer t");
  const before = origin.seen.length;
  for (const path of ["/", "/hook/", "/HOOK", "/hook/x", "/hook/../x", "//x", "/error", "//error"])
    expect((await get("hooks.test", path)).status).toBe(401);
  expect(origin.seen).toHaveLength(before);
});

/** As `pop-secrets` does. */
async function unseal(file: string, secret: string): Promise<void> {
  const text = Buffer.from(secret).toString("base64");
  const write = `mkdir -p -m 0751 /run/secrets ${dirname(file)} && echo ${text} | base64 -d > ${file}.new && chown nginx:nginx ${file}.new && chmod 0400 ${file}.new && mv ${file}.new ${file}`;
  expect(await pop.exec(["/bin/sh", "-c", write])).toMatchObject({ code: 0 });
}

describe("a secret that an origin is sent", () => {
  const file = "/run/secrets/nginx.headers/edge-key";
  const put = (secret: string) => unseal(file, secret);
  const hosts = ["keyed.test", "keyed-relays.test"];
  const forged = { headers: { "x-edge-key": "forged", "X-EDGE": "forged" } };
  async function sent(host: string, path = "/keyed") {
    origin.answer(path, (_, response) => response.end());
    expect((await get(host, path, forged)).status).toBe(200);
    return origin.seen.at(-1)?.headers ?? {};
  }
  const key = async (host = "keyed.test") => (await sent(host))["x-edge-key"];

  test("is left out while the PoP does not have it, and a visitor's header does not replace it", async () => {
    for (const host of hosts) {
      const headers = await sent(host);
      expect(headers).not.toHaveProperty("x-edge-key");
      expect(headers).toMatchObject({ "x-edge": "fly", host });
    }
  });

  test("is sent from the next request after it arrived or changed, without a reload", async () => {
    const workers = async () => (await pop.exec(["/bin/sh", "-c", "pgrep -f 'nginx: worker' | sort"])).output;
    const before = await workers();
    const first = `a "quoted" \\ $host {x}; #y 'z'`;
    for (const secret of [first, "second"]) {
      await put(`${secret}\n`);
      for (const host of hosts) expect(await key(host)).toBe(secret);
    }
    expect(await sent("keyed.test", "/other/x")).toMatchObject({
      "x-other": "second",
      "x-edge": "fly",
      "x-edge-key": "second",
    });
    expect(await workers()).toBe(before);
  });

  test.each([
    ["two lines", "one\ntwo\n"],
    ["another header", "one\r\nX-Admin: 1"],
    ["nothing", ""],
    ["a line's end alone", "\n"],
    ["a space at its end", "one "],
    ["a zero byte", "one\0two"],
    ["letters that are not ASCII", "schlüssel"],
    ["more than a header takes", "x".repeat(5_000)],
  ])("is not sent if it is %s", async (_, secret) => {
    await put("good");
    expect(await key()).toBe("good");
    await put(secret);
    expect(await key()).toBeUndefined();
    expect(origin.seen.at(-1)?.headers).not.toHaveProperty("x-admin");
    await until(pop.logs, (text) => text.includes("requests go without the header it is for"));
  });

  test("is no longer sent after it was removed, and is in no log and no configuration", async () => {
    await put("unmistakable");
    await until(key, (seen) => seen === "unmistakable", { seconds: 10 });
    expect(await pop.exec(["rm", file])).toMatchObject({ code: 0 });
    await until(key, (seen) => seen === undefined, { seconds: 10 });
    expect(await pop.logs()).not.toContain("unmistakable");
    const { output } = await pop.exec([
      "/bin/sh",
      "-c",
      "runas nginx /usr/sbin/nginx -T 2>&1; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ",
    ]);
    expect(output).toContain("pop_secret");
    expect(output).not.toContain("unmistakable");
  });
});

test("an origin that requests a client certificate gets the PoPs', once they have it", async () => {
  const shown: string[] = [];
  const pair = { key: originKey, cert: originCertificate };
  const server = createServer({ ...pair, requestCert: true, ca: originCertificate }, (request, response) => {
    shown.push((request.socket as TLSSocket).getPeerCertificate().subject.CN?.toString() ?? "");
    response.end("mutual");
  });
  await new Promise<void>((listening) => server.listen(mutualPort, "0.0.0.0", listening));
  try {
    const file = "/run/secrets/nginx.certificates/edge-cert";
    for (const wrong of [undefined, "", "no PEM", originCertificate]) {
      if (wrong !== undefined) await unseal(file, wrong);
      expect((await get("mutual.test")).status).toBe(500);
    }
    expect((await get("open.test")).status).toBe(200);
    expect(shown).toEqual([]);
    await unseal(file, `${originCertificate}${originKey}`);
    expect(await get("mutual.test")).toMatchObject({ status: 200, body: "mutual" });
    expect(shown).toEqual([originName]);
    expect(await pop.logs()).not.toContain("PRIVATE KEY");
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
