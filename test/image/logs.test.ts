/** What a PoP logs about requests, and where it sends that. */
import { createSocket } from "node:dgram";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { https } from "./support/client.ts";
import { type NameServer, startNameServer } from "./support/dns.ts";
import { type Origin, startOrigin } from "./support/origin.ts";
import { build, ImageHarness, type Pop, reloadNginx, untilHealthy } from "./support/pop.ts";
import { stored } from "./support/spec.ts";

const network = { name: "fly-pops-logs", subnet: "172.31.228.0/24", gateway: "172.31.228.1" };
const originPort = 25_364;
const namePort = 25_404;
const syslogPort = 25_366;
const zone = "logs.test";
const collector = `loki.${zone}`;
const harness = new ImageHarness("logs");
let origin: Origin;
let names: NameServer;
let pop: Pop;

const host = "www.test";
const get = (path: string, client = "203.0.113.9") => https({ port: pop.https, host, path, client });

beforeAll(async () => {
  await harness.sweep();
  const image = await build("logs", {
    sites: [{ kind: "proxy", host, origins: [`http://${network.gateway}:${originPort}`], cache: stored(600) }],
    luggage: {},
    dns: { forward: [{ zone, servers: [`${network.gateway}@${namePort}`] }] },
    cache: { maxSizeMb: 64, indexMb: 1 },
    logs: { anonymize: true, syslog: { host: collector, port: syslogPort }, sampleCached: 10 },
  });
  await harness.createNetwork(network);
  origin = await startOrigin({ port: originPort });
  // It does not know any name yet.
  names = await startNameServer(network.gateway, namePort);
  pop = await harness.start(image, { volume: await harness.newVolume(), networkName: network.name });
  await untilHealthy(pop);
});
afterAll(async () => {
  await harness.sweep();
  await Promise.all([origin?.close(), names?.close()]);
});

/** The lines of the PoP's output that contain a text. */
const lines = async (text: string): Promise<string[]> =>
  (await pop.logs()).split("\n").filter((line) => line.includes(text));

/** As soon as it has a name. */
const line = async (text: string): Promise<string> =>
  (
    await until(
      () => lines(text),
      (seen) => seen.length > 0,
    )
  )[0] ?? "";

describe("a syslog collector", () => {
  test("whose name does not resolve delays no visitor", async () => {
    origin.answer("/early", (_, response) => response.end("early"));
    expect((await get("/early")).body).toBe("early");
    expect(await line("has no address yet")).toContain(
      `syslog: ${collector} has no address yet, so messages are dropped`,
    );
  });

  test("gets each request as RFC 5424 with JSON, without the visitor's address, once its name resolves; its failure has no effect", async () => {
    const messages: string[] = [];
    const socket = createSocket("udp4").on("message", (message) => messages.push(message.toString()));
    await new Promise<void>((bound) => socket.bind(syslogPort, network.gateway, bound));
    names.say(collector, [network.gateway]);
    await line(`syslog: messages go to ${collector}`);
    origin.answer("/sent", (_, response) => response.end("sent"));
    await get("/sent?one");
    await get("/sent?two", "2001:db8:1:2::7");
    const sent = await until(
      () => messages.filter((message) => message.includes('"/sent')),
      (seen) => seen.length === 2,
    );
    const parsed = sent.map(
      (message) => /^<190>1 \d{4}-\d\d-\d\dT[\d:.]{12}Z cdg-1 nginx - access - (\{.*\})$/.exec(message)?.[1],
    );
    expect(parsed.map((text) => JSON.parse(text ?? "{}"))).toMatchObject([
      { client: "203.0.113.0", host, uri: "/sent?one", status: 200, cache: "MISS" },
      { client: "2001:db8:1::", uri: "/sent?two" },
    ]);
    await new Promise<void>((closed) => socket.close(() => closed()));
    for (let visit = 0; visit < 3; visit++) expect((await get("/sent?late")).status).toBe(200);
  });
});

describe("the visitor's address", () => {
  /** Makes nginx write to its error log, and returns what it wrote. */
  const failing = async (path: string, client: string): Promise<string> => {
    origin.answer(path, (request) => request.socket.destroy());
    expect((await get(path, client)).status).toBe(502);
    return (
      (
        await until(
          async () => (await lines(`GET ${path} HTTP`)).filter((it) => it.includes("[error]")),
          (seen) => seen.length > 0,
        )
      )[0] ?? ""
    );
  };

  test("is in no log; only its network is, in nginx's error log too", async () => {
    expect(await failing("/fails-4", "203.0.113.9")).toContain("client: 203.0.113.0, server: www.test");
    expect(await failing("/fails-6", "2001:db8:1:2::7")).toContain("client: 2001:db8:1::, server: www.test");
  });

  test("is in no log after a reload, or a crash of nginx and of the filter", async () => {
    await reloadNginx(pop);
    expect(await failing("/fails-reloaded", "203.0.113.9")).toContain("client: 203.0.113.0,");
    await pop.exec(["/bin/sh", "-c", "killall -KILL nginx"]);
    await until(
      () =>
        get("/early").then(
          ({ status }) => status,
          () => 0,
        ),
      (status) => status === 200,
    );
    expect(await failing("/fails-restarted", "203.0.113.9")).toContain("client: 203.0.113.0,");
    const files = await pop.exec(["/bin/sh", "-c", "grep -lE '203[.]0[.]113[.]9|2001:db8:1:2' /var/log/pop/*"]);
    expect(files.output).toBe("");
    expect(await lines("203.0.113.9")).toEqual([]);
    expect(await lines("2001:db8:1:2")).toEqual([]);
    // One filter: that of the previous nginx has ended.
    const left = await pop.exec(["/bin/sh", "-c", "ps | grep -c '{aw[k]}'"]);
    expect(left.output.trim()).toBe("1");
  });
});

test("about a tenth of the requests served from the cache are logged, and all others", async () => {
  origin.answer("/stored", (_, response) => response.end("stored"));
  origin.answer("/fresh", (_, response) => response.writeHead(200, { "cache-control": "no-store" }).end("fresh"));
  expect((await get("/stored")).headers["x-cache"]).toBe("MISS");
  for (let visit = 0; visit < 400; visit++) {
    const { headers } = await get("/stored", `198.51.100.${visit % 200}`);
    expect(headers["x-cache"]).toBe("HIT");
  }
  for (let visit = 0; visit < 20; visit++) await get("/fresh");
  await until(
    () => lines('"uri":"/fresh"'),
    (seen) => seen.length === 20,
  );
  const logged = await lines('"uri":"/stored"');
  expect(logged.filter((it) => it.includes('"cache":"MISS"'))).toHaveLength(1);
  const hits = logged.length - 1;
  console.log(`${hits} of 400 requests answered from the cache were logged`);
  expect(hits).toBeGreaterThan(10);
  expect(hits).toBeLessThan(90);
});
