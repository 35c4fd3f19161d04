/** What a real PoP exports at /metrics, and that the docs list exactly that. test/e2e/local.test.ts has a PoP with a tailnet. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { queriedMetrics } from "../../tools/docs/grafana.ts";
import { documentedMetrics, familiesOf } from "../support/metrics.ts";
import { until } from "../support/until.ts";
import { https } from "./support/client.ts";
import { build, health, ImageHarness, type Pop, untilHealthy } from "./support/pop.ts";

const harness = new ImageHarness("metrics");
let pop: Pop;

beforeAll(async () => {
  await harness.sweep();
  pop = await harness.start(await build("all"), { volume: await harness.newVolume() });
  await untilHealthy(pop);
});
afterAll(() => harness.sweep());

async function scrape(): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${pop.health}/metrics`);
  expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  return answer.text();
}

const visit = (host: string, path = "/") => https({ port: pop.https, host, path });

/** Value of one sample, by its name and labels as written. */
const sampleOf = (text: string, series: string): number => {
  const line = text.split("\n").find((it) => it.startsWith(`${series} `));
  return line === undefined ? Number.NaN : Number(line.slice(series.length));
};

const exported = (text: string): string[] =>
  [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].flatMap(([, name = "", kind]) =>
    kind === "histogram" ? [name, `${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  );

test("the PoP exports exactly the metrics of docs/metrics.md, and those of the dashboard are among them", async () => {
  const text = await scrape();
  const all = exported(text);
  // test/image/ports.test.ts and pass-through.test.ts check the others, in PoPs that have them.
  const elsewhere = [...documentedMetrics.ports, ...documentedMetrics.passThrough];
  expect(queriedMetrics().filter((name) => !all.includes(name) && !elsewhere.includes(name))).toEqual([]);
  expect(familiesOf(text)).toEqual(documentedMetrics.always);
});

test("requests are counted by site and class, once each, however they arrived", async () => {
  const series = (site: string, status: string) => `pop_requests_total{site="${site}",status="${status}"}`;
  const before = await scrape();
  for (let at = 0; at < 5; at += 1) await visit("files.example.test");
  await visit("files.example.test", "/nothing-here");
  await visit("example.test");
  const grown = (text: string, name: string) => sampleOf(text, name) - sampleOf(before, name);
  // Each of nginx's workers flushes its lines once per second of its own.
  const timed = (text: string) =>
    ["files.example.test", "example.test"]
      .map((site) => grown(text, `pop_request_duration_seconds_count{site="${site}"}`))
      .reduce((sum, count) => sum + count);
  const after = await until(scrape, (text) => timed(text) >= 7);
  expect(grown(after, series("files.example.test", "2xx"))).toBe(5);
  expect(grown(after, series("files.example.test", "4xx"))).toBe(1);
  expect(grown(after, series("example.test", "3xx"))).toBe(1);
  expect(timed(after)).toBe(7);
  expect(sampleOf(after, "pop_access_log_parse_errors_total")).toBe(0);
});

test("`pop ask metrics` prints the same, for use without access to the port", async () => {
  const { code, output } = await pop.exec(["/usr/bin/pop", "ask", "metrics"]);
  expect(code).toBe(0);
  expect(familiesOf(output)).toEqual(documentedMetrics.always);
});

test("its memory is the container's, and its health reports the totals", async () => {
  const text = await scrape();
  expect(sampleOf(text, "pop_memory_limit_bytes")).toBe(256 * 2 ** 20);
  expect(sampleOf(text, "pop_memory_used_bytes")).toBeGreaterThan(20 * 2 ** 20);
  expect(sampleOf(text, "pop_memory_used_bytes")).toBeLessThan(256 * 2 ** 20);
  const { report } = (await health(pop)) as unknown as {
    report: { traffic: { requests: number }; components: object };
  };
  expect(report.traffic.requests).toBeGreaterThanOrEqual(7);
  expect(report.components).toMatchObject({ counts: { status: "ok" } });
});

test("a killed health process counts again, and nginx did not wait for it", async () => {
  const kill = "kill -KILL $(ps -o pid,args | awk '/[p]op health/ { print $1 }')";
  expect(await pop.exec(["/bin/sh", "-c", kill])).toMatchObject({ code: 0 });
  const { status } = await visit("files.example.test");
  expect(status).toBe(200);
  await untilHealthy(pop);
  const name = `pop_requests_total{site="files.example.test",status="2xx"}`;
  await until(scrape, (text) => sampleOf(text, name) >= 1);
});
