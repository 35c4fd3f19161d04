/** A site whose visitors have to log in at the PoP. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { https, type Visit } from "./support/client.ts";
import { type Origin, startOrigin } from "./support/origin.ts";
import { Bench, build, health, type Pop, until } from "./support/pop.ts";

const network = { name: "fly-pops-auth", subnet: "172.31.218.0/24", gateway: "172.31.218.1" };
const originPort = 25_362;
const bench = new Bench("auth");
let origin: Origin;
let pop: Pop;

beforeAll(async () => {
  await bench.sweep();
  const auth = { basic: "passwords" };
  const image = await build("auth", {
    sites: [
      { kind: "proxy", host: "guarded.test", origins: [`http://${network.gateway}:${originPort}`], auth },
      { kind: "files", host: "files.test", dir: "site", auth },
      { kind: "files", host: "open.test", dir: "site" },
    ],
    luggage: {},
    dns: { forward: [] },
    cache: { maxSizeMb: 64, indexMb: 1 },
  });
  await bench.createNetwork(network);
  origin = await startOrigin({ port: originPort });
  pop = await bench.start(image, { volume: await bench.newVolume(), networkName: network.name });
  // Degraded: nobody gave it sealed secrets.
  await until(
    () => health(pop),
    (seen) => seen?.code === 200,
  );
});
afterAll(async () => {
  await bench.sweep();
  await origin?.close();
});

const get = (host: string, path = "/", more: Partial<Visit> = {}) => https({ port: pop.https, host, path, ...more });
const login = (user: string, password: string) => ({
  headers: { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` },
});

test("while there are no passwords nobody gets in, and other sites are served", async () => {
  origin.answer("/", (_, response) => response.end("inside"));
  expect((await get("guarded.test")).status).toBe(401);
  expect((await get("guarded.test", "/", login("ada", "lovelace"))).status).toBe(403);
  expect((await get("files.test", "/", login("ada", "lovelace"))).status).toBe(403);
  expect((await get("open.test")).status).toBe(200);
  expect(origin.seen).toEqual([]);
});

test("whoever knows a name and its password gets in; the origin is not told the password", async () => {
  // As `pop-secrets` unseals it; by `openssl passwd -apr1` and `-6`.
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

test("no spelling of a path gets around it; challenges of ACME need no password", async () => {
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
