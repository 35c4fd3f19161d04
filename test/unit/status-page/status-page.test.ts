import { once } from "node:events";
import { get } from "node:http";
import { connect } from "node:net";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { regions } from "../../../fly/regions.ts";
import { emptyFlyState, type FlyState, type MachineRow } from "../../../local/fly/core/fly-state.ts";
import { serve } from "../../../local/fly/http.ts";
import { phaseOf, picture, type Surroundings } from "../../../local/status-page/picture.ts";
import { rates, TrafficWatch } from "../../../local/status-page/traffic.ts";
import { isLand } from "../../../status-page/continents.ts";
import { landPath, project, size } from "../../../status-page/map.ts";
import { createPages } from "../../../status-page/pages.ts";
import { httpServer } from "../../support/http-server.ts";
import { virtualClock } from "../../support/virtual-clock.ts";

const now = 1_000_000;

function machine(over: Partial<MachineRow> & { image?: string } = {}): MachineRow {
  const { image = "1", ...rest } = over;
  const version = {
    version: "01",
    received: {},
    rendered: {},
    imageRef: { digest: `sha256:${image.repeat(64)}` },
    secretsVersion: 0,
    createdAt: now,
  };
  return {
    id: "m1",
    app: "edge",
    name: "cdg-1",
    region: "cdg",
    zone: "z",
    state: "started",
    version: "01",
    versions: [version],
    privateIp: "",
    cordoned: false,
    createdAt: now,
    updatedAt: now,
    events: [],
    checks: [{ name: "health", status: "passing", output: "", updatedAt: now, routing: true }],
    restarts: [],
    restartCount: 0,
    runs: "01",
    bootedAt: now - 3_600_000,
    ...rest,
  };
}

const flyState = (...machines: MachineRow[]): FlyState => ({
  ...emptyFlyState(),
  machines: Object.fromEntries(machines.map((it) => [it.id, it])),
});
const around: Surroundings = { now, clientRegion: "cdg", counts: [], traffic: new Map() };
const critical = [{ name: "health", status: "critical", output: "", updatedAt: now, routing: true }] as const;

test.each<[string, Partial<MachineRow>, string]>([
  ["serving", {}, "serving"],
  ["drained", { cordoned: true }, "drained"],
  [
    "updating",
    {
      cordoned: true,
      operation: { kind: "replace", previous: "00", previousState: "started", wasToRun: true, launch: true },
    },
    "updating",
  ],
  ["just booted, cordoned", { cordoned: true, checks: [...critical], bootedAt: now - 2_000 }, "checking"],
  ["long up without a passing check", { checks: [...critical] }, "failing"],
  ["a check that decides nothing", { checks: [{ ...critical[0], routing: false }] }, "serving"],
  ["on its way up", { operation: { kind: "launch", skipLaunch: false } }, "starting"],
  ["restarted by its policy", { operation: { kind: "retry" } }, "restarting"],
  ["on its way down", { operation: { kind: "stop", signal: "SIGTERM", timeoutMs: 1 } }, "stopping"],
  ["down", { runs: null, state: "stopped" }, "stopped"],
  ["down for good", { runs: null, state: "failed" }, "failed"],
])("a machine that is %s", (_, over, phase) => {
  expect(phaseOf(machine(over), now)).toBe(phase);
});

describe("a picture", () => {
  test("of nothing is a picture too", () => {
    expect(picture(emptyFlyState(), around)).toMatchObject({
      pops: [],
      totals: { serving: 0, requestsPerSecond: null, errorsPerSecond: null, hitRate: null, connections: 0 },
      rollout: { image: "", done: 0, of: 0 },
      events: [],
    });
  });

  test("sums up what PoPs tell, and weighs hit rates by requests", () => {
    const traffic = new Map([
      ["m1", { requestsPerSecond: 90, hits: 90, cacheable: 90, memory: null, reasons: [] }],
      ["m2", { requestsPerSecond: 10, hits: 0, cacheable: 10, memory: null, reasons: ["unbound: timeout"] }],
    ]);
    const counts = [{ machineId: "m2", open: 3, total: 9, bytesIn: 0, bytesOut: 0, failedDials: 0 }];
    const seen = picture(flyState(machine(), machine({ id: "m2", name: "fra-1", region: "fra" })), {
      ...around,
      traffic,
      counts,
    });
    expect(seen.totals).toEqual({
      serving: 2,
      requestsPerSecond: 100,
      errorsPerSecond: null,
      hitRate: 0.9,
      connections: 3,
    });
    expect(seen.pops.map(({ name, hitRate, connections, reasons }) => [name, hitRate, connections, reasons])).toEqual([
      ["cdg-1", 1, 0, []],
      ["fra-1", 0, 3, ["fra-1 is degraded, unbound: timeout"]],
    ]);
  });

  test("counts a PoP as updated when it has the newest image and serves", () => {
    const newer = machine({ id: "m2", name: "ewr-1", image: "2" });
    for (const version of newer.versions) version.createdAt += 1;
    expect(picture(flyState(machine(), newer), around).rollout).toEqual({ image: "222222222222", done: 1, of: 2 });
    newer.cordoned = true;
    expect(picture(flyState(machine(), newer), around).rollout).toMatchObject({ done: 0, of: 2 });
  });

  test("tells events of all machines, newest first, in words", () => {
    const event = (type: string, timestamp: number, request?: Record<string, unknown>) =>
      ({
        id: `${timestamp}`,
        type,
        status: "started",
        source: "flyd",
        timestamp,
        ...(request && { request }),
      }) as const;
    const seen = picture(
      flyState(
        machine({ events: [event("cordon", 30), event("start", 10)] }),
        machine({ id: "m2", name: "ewr-1", events: [event("exit", 20, { exit_event: { oom_killed: true } })] }),
      ),
      around,
    );
    expect(seen.events.map(({ text }) => text)).toEqual([
      "cdg-1: taken out of routing",
      "ewr-1: ran out of memory",
      "cdg-1: started",
    ]);
  });

  test("shows PoPs in the order of their numbers", () => {
    const named = ["cdg-10", "cdg-2", "ams-1"].map((name) => machine({ id: name, name }));
    expect(picture(flyState(...named), around).pops.map(({ name }) => name)).toEqual(["ams-1", "cdg-2", "cdg-10"]);
  });

  test("leaves out what was destroyed, and an unknown region has no place", () => {
    const seen = picture(
      flyState(machine({ state: "destroyed" }), machine({ id: "m2", name: "x", region: "xxx" })),
      around,
    );
    expect(seen.pops).toMatchObject([{ name: "x", place: null, region: "xxx" }]);
  });
});

describe("the map", () => {
  test("has every region on it, and all but those on islands and coasts on land", () => {
    for (const { code, longitude, latitude } of regions) {
      const { x, y } = project(longitude, latitude);
      expect(x, code).toBeGreaterThan(0);
      expect(x, code).toBeLessThan(size.width);
      expect(y, code).toBeGreaterThan(0);
      expect(y, code).toBeLessThan(size.height);
    }
    // Three degrees: as coarse as the shapes are.
    const near = ({ longitude, latitude }: (typeof regions)[number]) =>
      [-3, 0, 3].some((east) => [-3, 0, 3].some((north) => isLand(longitude + east, latitude + north)));
    expect(regions.filter((it) => !near(it)).map(({ code }) => code)).toEqual([]);
  });

  test.each([
    ["the Atlantic", -40, 30],
    ["the Pacific", -150, 0],
    ["the Indian Ocean", 80, -20],
    ["Hudson Bay", -85, 59],
    ["the Black Sea", 34, 43],
    ["the Caspian Sea", 51, 43],
  ])("has no land in %s", (_, longitude, latitude) => {
    expect(isLand(longitude, latitude)).toBe(false);
  });

  test("is small enough to be sent with the page", () => {
    expect(landPath().length).toBeLessThan(40_000);
  });
});

const sample = (at: number, requests: number, cache: Record<string, number> = {}) => ({
  at,
  report: { components: {}, traffic: { requests, cache } },
});

test("rates are what happened between the first sample and the last", () => {
  expect(
    rates([sample(0, 100, { HIT: 5, MISS: 5 }), sample(4_000, 300, { HIT: 20, MISS: 10, BYPASS: 7 })]),
  ).toMatchObject({ requestsPerSecond: 50, hits: 15, cacheable: 20 });
  expect(rates([sample(0, 100)])).toMatchObject({ requestsPerSecond: 0, cacheable: 0 });
  expect(rates([])).toBeUndefined();
});

test("PoPs are asked only while a page is open; one that restarted starts from zero; one that is not a PoP is left out", async () => {
  let requests = 1_000;
  const pop = await httpServer(() => ({ body: { traffic: { requests, cache: {} } } }));
  const foreign = await httpServer(() => ({ body: "hello" }));
  const sources = [pop, foreign].map(({ url }, at) => ({
    machineId: `m${at + 1}`,
    host: "127.0.0.1",
    port: Number(new URL(url).port),
  }));
  const clock = virtualClock();
  onTestFinished(() => clock.close());
  const watch = new TrafficWatch(() => sources, clock);
  const seen = (rate: number) =>
    vi.waitFor(() => expect(watch.latest().get("m1")).toMatchObject({ requestsPerSecond: rate }));
  const end = watch.watch();
  await seen(0);
  // Rounds go on for as long as time does, and this clock goes whenever no caller waits.
  await vi.waitFor(() => expect(foreign.received.length).toBeGreaterThan(0));
  requests = 1_100;
  // The next round is due a second after this one has ended.
  await vi.waitFor(async () => {
    await clock.advance(1_000);
    expect(watch.latest().get("m1")?.requestsPerSecond).toBeGreaterThan(0);
  });
  requests = 3; // another process
  await vi.waitFor(async () => {
    await clock.advance(1_000);
    expect(watch.latest().get("m1")?.requestsPerSecond).toBe(0);
  });
  expect([...watch.latest().keys()]).toEqual(["m1"]);
  end();
  await clock.advance(5_000);
  const before = pop.received.length;
  await clock.advance(5_000);
  expect(pop.received.length).toBe(before);
  expect(watch.latest().size).toBe(0);
});

test.each([
  ["components", { nginx: { status: "ok" }, unbound: { status: "degraded", reason: "no response" } }],
  ["parts", { nginx: { status: "ok" }, unbound: { status: "degraded", reason: "no response" } }],
  ["neither", undefined],
])("reasons of a PoP that reports its components as %s", async (key, components) => {
  const pop = await httpServer(() => ({ body: { traffic: { requests: 1, cache: {} }, [key]: components } }));
  const source = { machineId: "m1", host: "127.0.0.1", port: Number(new URL(pop.url).port) };
  const clock = virtualClock();
  onTestFinished(() => clock.close());
  const watch = new TrafficWatch(() => [source], clock);
  onTestFinished(watch.watch());
  await vi.waitFor(() =>
    expect(watch.latest().get("m1")?.reasons).toEqual(components === undefined ? [] : ["unbound: no response"]),
  );
});

describe("over HTTP", () => {
  const seen = picture(flyState(machine()), around);
  async function pages() {
    const clock = virtualClock();
    let watchers = 0;
    const it = createPages({
      picture: () => seen,
      onWatch: () => {
        watchers += 1;
        return () => {
          watchers -= 1;
        };
      },
      clock,
    });
    const server = await serve(async () => ({ status: 404, headers: {}, body: "the API's" }), { pages: it.handle });
    const end = () => {
      it.close();
      clock.close();
      return server.close();
    };
    return { server, watchers: () => watchers, end };
  }

  test("the page and its files are served, with a policy that lets nothing else in; the rest is the API's", async () => {
    const { server, end } = await pages();
    for (const [path, type] of [
      ["/", "text/html"],
      ["/page.css", "text/css"],
      ["/page.mjs", "text/javascript"],
    ]) {
      const answer = await fetch(server.url + path);
      expect(answer.headers.get("content-type")).toBe(`${type}; charset=utf-8`);
      expect(answer.headers.get("content-security-policy")).toContain("default-src 'none'; script-src 'self'");
      expect((await answer.text()).length).toBeGreaterThan(500);
    }
    expect(await (await fetch(`${server.url}/`)).text()).toContain(landPath());
    expect(await (await fetch(`${server.url}/v1/apps`)).text()).toBe("the API's");
    await end();
  });

  test("who looks gets a picture at once and is forgotten when gone", async () => {
    const { server, watchers, end } = await pages();
    const leaving = new AbortController();
    const stream = await fetch(`${server.url}/events`, { signal: leaving.signal });
    expect(stream.headers.get("content-type")).toBe("text/event-stream");
    let text = "";
    for await (const piece of stream.body ?? []) {
      text += Buffer.from(piece).toString();
      if (text.includes("data: ") && text.endsWith("\n\n")) break;
    }
    expect(JSON.parse(text.split("data: ")[1] ?? "")).toEqual(JSON.parse(JSON.stringify(seen)));
    leaving.abort();
    while (watchers() > 0) await new Promise((resolve) => setImmediate(resolve));
    await end();
  });

  test.each(["//", "//%", "/%", "http://"])("a request for %s does no harm", async (target) => {
    const { server, end } = await pages();
    const socket = connect(server.port, "127.0.0.1");
    socket.end(`GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`);
    await once(socket.resume(), "close");
    expect((await fetch(`${server.url}/`)).status).toBe(200);
    await end();
  });

  test("only GET is answered, and only under a name of this machine", async () => {
    const { server, end } = await pages();
    expect((await fetch(`${server.url}/`, { method: "POST" })).status).toBe(405);
    const status = await new Promise((resolve) => {
      get(`${server.url}/events`, { headers: { host: "evil.example" } }, ({ statusCode }) => resolve(statusCode));
    });
    expect(status).toBe(421);
    await end();
  });
});
