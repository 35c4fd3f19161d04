/** What visitors get who send too many requests, whom a site does not admit, or whom an operator blocked; and that other visitors are not affected. */
import type { ServerResponse } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defaults } from "../../config/defaults.ts";
import { parseRate } from "../../config/rate.ts";
import type { Limit, ProxySite } from "../../image/spec.ts";
import { until } from "../support/until.ts";
import { enterTls, http, https, type Visit } from "./support/client.ts";
import { load } from "./support/load.ts";
import { type Origin, startOrigin } from "./support/origin.ts";
import { build, ImageHarness, type Pop, untilHealthy } from "./support/pop.ts";
import { stored } from "./support/spec.ts";

const network = { name: "fly-pops-rejecting", subnet: "172.31.217.0/24", gateway: "172.31.217.1" };
const originPort = 25_361;

/** So slow that a test sees the burst and nothing after it. */
const ahead = 20;
const slow: Limit = { requests: { count: 1, per: "m", burst: ahead } };
const usual = parseRate(defaults.limitRequests);
if (usual === undefined) throw new Error("the default limit is not a rate");

const site = (host: string, more: Partial<ProxySite> = {}): ProxySite => ({
  kind: "proxy",
  host,
  origins: [`http://${network.gateway}:${originPort}`],
  ...more,
});
const networks = (...networks: string[]) => ({ networks, files: [] });

const harness = new ImageHarness("rejecting");
let origin: Origin;
let pop: Pop;

beforeAll(async () => {
  await harness.sweep();
  const image = await build("rejecting", {
    sites: [
      site("limited.test", { limit: slow }),
      site("other.test", { limit: slow }),
      site("cached.test", { limit: slow, cache: stored(600) }),
      site("usual.test", { limit: { requests: { ...usual, burst: defaults.limitBurst } }, cache: stored(600) }),
      site("few.test", { limit: { requests: { count: 1000, per: "s", burst: 1000 }, connections: 2 } }),
      site("free.test"),
      site("family.test", {
        access: { allow: networks("10.0.0.0/8", "2001:db8:1::/48"), deny: networks("10.1.2.3/32") },
      }),
      site("listed.test", { access: { deny: { networks: ["192.0.2.0/24"], files: ["lists/bad.txt"] } } }),
      site("people.test", { access: { agents: ["GPTBot", "(compatible; Bad/1.0"] }, cache: stored(600) }),
      { kind: "redirect", host: "moved.test", to: "https://free.test", access: { deny: networks("10.1.2.3/32") } },
      { kind: "files", host: "files.test", dir: "site", limit: slow, access: { deny: networks("10.1.2.3/32") } },
    ],
    luggage: {},
    dns: { forward: [] },
    cache: { maxSizeMb: 64, indexMb: 1 },
  });
  await harness.createNetwork(network);
  origin = await startOrigin({ port: originPort });
  pop = await harness.start(image, { volume: await harness.newVolume(), networkName: network.name });
  await untilHealthy(pop);
});
afterAll(async () => {
  await harness.sweep();
  await origin?.close();
});

const get = (host: string, path: string, more: Partial<Visit> = {}) => https({ port: pop.https, host, path, ...more });
const statusesOf = async (visits: Promise<{ status: number }>[]) =>
  (await Promise.all(visits)).map(({ status }) => status);
const count = (statuses: number[], status: number) => statuses.filter((it) => it === status).length;

async function rejected(host: string, reason: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${pop.health}/metrics`)).text();
  const line = text
    .split("\n")
    .find((it) => it.startsWith(`pop_requests_rejected_total{site="${host}",reason="${reason}"} `));
  return Number(line?.split(" ").at(-1));
}

/** Requests of one visitor, over as many connections as there are at once. */
const flood = (host: string, path: string, requests: number, client: string) => {
  let left = requests;
  return load({
    open: () => enterTls(pop.https, { servername: host }, client),
    connections: 20,
    host,
    next: () => (left-- > 0 ? path : undefined),
  });
};

describe("a visitor that sends too many requests", () => {
  test("gets 429 with Retry-After; others are served, and the origin gets no more than the limit", async () => {
    origin.answer("/page", (_, response) => response.end("page"));
    const flooding = flood("limited.test", "/page", 1000, "198.51.100.1");
    const others = Array.from({ length: 40 }, (_, at) => get("limited.test", "/page", { client: `203.0.113.${at}` }));
    expect(await statusesOf(others)).toEqual(Array(40).fill(200));
    expect((await flooding).outcomes).toEqual({ 200: ahead + 1, 429: 1000 - ahead - 1 });
    expect(origin.hits("/page")).toBe(40 + ahead + 1);
    const late = await get("limited.test", "/page", { client: "198.51.100.1" });
    expect(late.status).toBe(429);
    expect(late.headers["retry-after"]).toBe("60");
    expect(late.headers["x-pop"]).toBe("cdg-1");
    await until(
      () => rejected("limited.test", "requests"),
      (it) => it === 1000 - ahead,
    );
  });

  test("is counted by site: another site serves the visitor", async () => {
    origin.answer("/elsewhere", (_, response) => response.end());
    const statuses = await statusesOf(
      Array.from({ length: 30 }, () => get("other.test", "/elsewhere", { client: "198.51.100.1" })),
    );
    expect([count(statuses, 200), count(statuses, 429)]).toEqual([ahead + 1, 30 - ahead - 1]);
  });

  test("is counted for cached pages and packed files too", async () => {
    origin.answer("/cached", (_, response) => response.end("cached"));
    for (const [host, path] of [
      ["cached.test", "/cached"],
      ["files.test", "/"],
    ] as const)
      expect((await flood(host, path, 200, "198.51.100.2")).outcomes).toEqual({ 200: ahead + 1, 429: 200 - ahead - 1 });
    expect(origin.hits("/cached")).toBeLessThanOrEqual(ahead + 1);
  });

  test("is a whole /64", async () => {
    origin.answer("/six", (_, response) => response.end());
    const from = (client: string) => get("limited.test", "/six", { client });
    const same = Array.from({ length: ahead + 1 }, (_, at) => from(`2001:db8:0:7:${at}::1`));
    expect(count(await statusesOf(same), 200)).toBe(ahead + 1);
    expect((await from("2001:db8:0:7::ffff")).status).toBe(429);
    expect((await from("2001:db8:0:8::1")).status).toBe(200);
  });

  test("has a limit of requests in progress", async () => {
    const held: ServerResponse[] = [];
    origin.answer("/held", (_, response) => held.push(response));
    origin.answer("/quick", (_, response) => response.end());
    const client = "198.51.100.3";
    const waiting = [1, 2].map(() => get("few.test", "/held", { client }));
    await until(
      () => held.length,
      (it) => it === 2,
    );
    const third = await get("few.test", "/quick", { client });
    expect([third.status, third.headers["retry-after"]]).toEqual([429, "1"]);
    expect((await get("few.test", "/quick", { client: "198.51.100.4" })).status).toBe(200);
    for (const response of held) response.end();
    expect(await statusesOf(waiting)).toEqual([200, 200]);
    expect((await get("few.test", "/quick", { client })).status).toBe(200);
    await until(
      () => rejected("few.test", "connections"),
      (it) => it === 1,
    );
  });

  test("is not a visitor who scrolls through a gallery, with the default limit", async () => {
    origin.answer("/thumbnail", (_, response) => response.end("t".repeat(1000)));
    expect((await flood("usual.test", "/thumbnail", 2000, "198.51.100.5")).outcomes).toEqual({ 200: 2000 });
  });

  test("an origin's own 429 is passed on unchanged", async () => {
    origin.answer("/busy", (_, response) => response.writeHead(429, { "retry-after": "7" }).end());
    const { status, headers } = await get("limited.test", "/busy", { client: "198.51.100.6" });
    expect([status, headers["retry-after"]]).toEqual([429, "7"]);
    origin.answer("/busy-without", (_, response) => response.writeHead(429).end());
    const without = await get("limited.test", "/busy-without", { client: "198.51.100.6" });
    expect([without.status, without.headers["retry-after"]]).toEqual([429, undefined]);
  });
});

describe("a visitor that a site does not admit", () => {
  const status = async (host: string, client: string, path = "/open", more: Partial<Visit> = {}) =>
    (await get(host, path, { client, ...more })).status;

  test("gets 403 because of its address, also from redirects and packed files", async () => {
    origin.answer("/open", (_, response) => response.end());
    expect(await status("family.test", "10.200.0.1")).toBe(200);
    expect(await status("family.test", "2001:db8:1:2::3")).toBe(200);
    expect(await status("family.test", "::ffff:0ac8:0001")).toBe(200);
    expect(await status("family.test", "10.1.2.3")).toBe(403);
    expect(await status("family.test", "203.0.113.9")).toBe(403);
    expect(await status("family.test", "2001:db8:2::1")).toBe(403);
    for (const [host, admitted] of [
      ["moved.test", 301],
      ["files.test", 200],
    ] as const) {
      expect(await status(host, "10.1.2.3", "/")).toBe(403);
      expect(await status(host, "10.1.2.4", "/")).toBe(admitted);
    }
  });

  test("gets 403 because of a list in the repository", async () => {
    for (const client of ["192.0.2.1", "203.0.113.77", "2001:db8:bad::1"])
      expect(await status("listed.test", client)).toBe(403);
    for (const client of ["192.0.3.1", "203.0.113.78", "2001:db8:bae::1"])
      expect(await status("listed.test", client)).toBe(200);
  });

  test("gets 403 because of its User-Agent, case-insensitively, also from the cache", async () => {
    const agent = (name: string) => status("people.test", "203.0.113.9", "/open", { headers: { "user-agent": name } });
    expect(await agent("Mozilla/5.0 (X11; Linux)")).toBe(200);
    for (const name of ["GPTBot", "Mozilla/5.0 AppleWebKit; compatible; gptbot/1.2", "x (COMPATIBLE; bad/1.0; y)"])
      expect(await agent(name)).toBe(403);
    for (const name of ["GPT Bot", "(compatible; BadX1.0)", "(compatible; Bad/1x0)"])
      expect(await agent(name)).toBe(200);
    expect(await status("people.test", "203.0.113.9")).toBe(200);
  });

  test("gets 403 in any spelling of the path; only ACME challenges are open", async () => {
    origin.answer("/.well-known/acme-challenge/a-B_9", (_, response) => response.end("proof"));
    const before = origin.seen.length;
    expect(await status("family.test", "203.0.113.9", "/.well-known/acme-challenge/a-B_9")).toBe(200);
    expect(origin.seen).toHaveLength(before + 1);
    for (const path of [
      ...[
        "/.well-known/acme-challenge/../../open",
        "/.well-known/acme-challenge/%2e%2e/%2e%2e/open",
        "//open",
        "/%6fpen",
      ],
      ...[
        "/open?/.well-known/acme-challenge/a",
        "/.well-known/acme-challenge/a%2f..%2f..%2fopen",
        "/.well-known/acme-challenge/a/",
      ],
      ...["/x/../.well-known/acme-challenge/a", "/.well-known/acme-challenge/a?x", "/./open", "/open/."],
    ])
      expect(await status("family.test", "203.0.113.9", path)).toBe(403);
    expect(origin.seen).toHaveLength(before + 1);
  });

  test("does not prevent Fly's check or the redirect to https", async () => {
    expect((await fetch(`http://127.0.0.1:${pop.health}/healthz`)).status).toBe(200);
    expect((await http({ port: pop.http, host: "family.test", client: "203.0.113.9" })).status).toBe(301);
  });
});

describe("a visitor that an operator blocked", () => {
  const from = async (client: string, host = "free.test") => (await get(host, "/blockable", { client })).status;
  const runPop = async (...words: string[]) => {
    const { code, output } = await pop.exec(["/usr/bin/pop", ...words]);
    expect({ code, output }).toMatchObject({ code: 0 });
    return JSON.parse(output) as { address: string; until: number }[];
  };
  const workers = async () =>
    (await pop.exec(["/bin/sh", "-c", "ps | grep 'nginx: worker' | grep -v grep | awk '{print $1}'"])).output;

  test("gets 403 from every site from the next request on, without a reload, and open connections continue", async () => {
    origin.answer("/blockable", (_, response) => response.end());
    const client = "198.51.100.50";
    expect(await from(client)).toBe(200);
    const before = await workers();
    let finish = (_: ServerResponse) => {};
    const asked = new Promise<ServerResponse>((resolve) => (finish = resolve));
    origin.answer("/long", (_, response) => finish(response));
    const open = get("free.test", "/long", { client });
    const response = await asked;
    await runPop("block", "--for", "3600", client, "203.0.113.128/25", "2001:db8:5::/48", "2001:db8:9:9::1");
    expect(await from(client)).toBe(403);
    for (const host of ["moved.test", "files.test"]) expect(await from(client, host)).toBe(403);
    for (const blocked of ["203.0.113.200", "2001:db8:5:6::7", "2001:db8:9:9:ffff::", "::ffff:c633:6432"])
      expect(await from(blocked)).toBe(403);
    for (const free of ["198.51.100.51", "203.0.113.127", "2001:db8:6::1", "2001:db8:9:a::1"])
      expect(await from(free)).toBe(200);
    response.end("done");
    expect((await open).body).toBe("done");
    expect(await workers()).toBe(before);
    await until(
      () => rejected("free.test", "blocked"),
      (it) => it >= 5,
    );
    expect((await fetch(`http://127.0.0.1:${pop.health}/healthz`)).status).toBe(200);
  });

  test("stays blocked across a restart, until it is unblocked", async () => {
    pop = await pop.restart();
    await untilHealthy(pop);
    expect(await from("198.51.100.50")).toBe(403);
    expect(await from("203.0.113.200")).toBe(403);
    expect((await runPop("unblock", "203.0.113.128/25")).map(({ address }) => address)).not.toContain(
      "203.0.113.128/25",
    );
    expect(await from("203.0.113.200")).toBe(200);
    expect(await from("198.51.100.50")).toBe(403);
    await runPop("unblock", "--all");
    expect(await from("198.51.100.50")).toBe(200);
  });

  test("is served again when its time is over, while longer blocks around or beside it continue", async () => {
    await runPop("block", "--for", "3600", "198.51.100.192/26", "10.9.0.0/16");
    await runPop("block", "--for", "1", "198.51.100.60", "198.51.100.128/25", "10.9.9.9");
    await until(
      () => runPop("blocked"),
      (it) => it.length === 2,
      { seconds: 10 },
    );
    for (const free of ["198.51.100.60", "198.51.100.129"])
      await until(
        () => from(free),
        (it) => it === 200,
        { seconds: 10 },
      );
    for (const blocked of ["198.51.100.200", "10.9.9.9", "10.9.1.1"]) expect(await from(blocked)).toBe(403);
    await runPop("unblock", "--all");
  });

  test("a broken file blocks no other visitor and crashes no worker", async () => {
    const before = await workers();
    const write = (text: string) => pop.exec(["/bin/sh", "-c", `printf '${text}' > /var/lib/pop/blocked`]);
    await write("nonsense\\n198.51.100.70/32 99999999999\\n\\n/ 0\\n198.51.100.71/32\\n%0200d\\n");
    expect(await from("198.51.100.70")).toBe(403);
    expect(await from("198.51.100.71")).toBe(200);
    await write("");
    expect(await from("198.51.100.70")).toBe(200);
    await pop.exec(["rm", "/var/lib/pop/blocked"]);
    expect(await from("198.51.100.70")).toBe(200);
    expect(await workers()).toBe(before);
  });
});
