import { beforeAll, expect, test } from "vitest";
import { cli, values } from "../support/cli.ts";

const request = (status: number, seconds: number, host = "www.example.org", more = {}) =>
  `[nginx\t] ${JSON.stringify({ time: "x", client: "203.0.113.7", host, method: "GET", uri: `/${status}`, status, bytes: 5, seconds, cache: "HIT", ...more })}`;
const later = [
  request(200, 0.004),
  request(404, 0.1),
  request(502, 1.5),
  request(200, 2, "other.example"),
  request(200, 0, "www.example.org", { agent: "x\x1b[2Jy" }),
  "[nginx\t] 2026/11/29 07:00:00 [error] upstream timed out",
  '[unbound\t] {"host":"www.example.org","status":200}',
  '[nginx\t] {"host":"www.example.org"}',
];

// What a command loads when it runs for the first time takes longer than these seconds of the clock.
beforeAll(async () => {
  await using it = await cli();
  await it.deploy();
  await it.run(["tail"], it.interruptAfter(2_000));
});

/** One PoP is restarted after three seconds and says it all then: what was said before is not shown. */
async function tailed(...argv: string[]) {
  return await tailedOf({}, ...argv);
}

async function tailedOf(stackFile: Record<string, unknown>, ...argv: string[]) {
  await using it = await cli({ behaviour: { says: later } });
  it.config(values(stackFile));
  await it.deploy();
  const { id } = it.machine("cdg-1");
  it.local.clock.after(3_000, () => void it.local.call("POST", `/apps/my-edge/machines/${id}/restart`));
  return await it.run(["tail", ...argv], it.interruptAfter(15_000));
}

const statuses = async (...argv: string[]) =>
  (await tailed(...argv, "--json")).out.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line).status]));

test("requests alone, as they come, until Ctrl-C", async () => {
  const { code, out, err } = await tailed();
  expect({ code, err }).toEqual({ code: 130, err: "" });
  expect(out.split("\n").map((line) => line.replace(/^\S+ /, ""))).toEqual([
    "cdg-1 200     4 ms HIT     GET www.example.org/200 203.0.113.7",
    "cdg-1 404   100 ms HIT     GET www.example.org/404 203.0.113.7",
    "cdg-1 502  1500 ms HIT     GET www.example.org/502 203.0.113.7",
    "cdg-1 200  2000 ms HIT     GET other.example/200 203.0.113.7",
    "cdg-1 200     0 ms HIT     GET www.example.org/200 203.0.113.7",
    "",
  ]);
});

test("--json: one object per line, with all that nginx says and no control character", async () => {
  const { out } = await tailed("--json");
  const lines = out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines).toHaveLength(5);
  expect(lines[4]).toEqual({
    time: expect.stringMatching(/^\d{4}-.*Z$/),
    pop: "cdg-1",
    region: "cdg",
    client: "203.0.113.7",
    host: "www.example.org",
    method: "GET",
    uri: "/200",
    status: 200,
    bytes: 5,
    seconds: 0,
    cache: "HIT",
    agent: "xy",
  });
});

test.each([
  [["--status", "5xx"], [502]],
  [
    ["--status", "404,5xx"],
    [404, 502],
  ],
  [
    ["--slower", "1s"],
    [502, 200],
  ],
  [["--slower", "100ms", "--status", "4xx"], [404]],
  [
    ["--site", "WWW.example.org"],
    [200, 404, 502, 200],
  ],
  [["cdg-1"], [200, 404, 502, 200, 200]],
  [["ewr-1"], []],
])("%j", async (argv, found) => expect(await statuses(...argv)).toEqual(found));

test("--site: under each of its names", async () => {
  const site = { host: "www.example.org", origin: "http://origin.example:8080", aliases: ["other.example"] };
  const bySite = async (...names: string[]) => {
    const { out } = await tailedOf({ sites: [site] }, ...names.flatMap((it) => ["--site", it]), "--json");
    return out.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line).host]));
  };
  const both = ["www.example.org", "www.example.org", "www.example.org", "other.example", "www.example.org"];
  expect(await bySite("www.example.org")).toEqual(both);
  expect(await bySite("other.example")).toEqual(both);
});

test("a PoP from which nothing can come is named", async () => {
  await using it = await cli({ behaviour: { says: later } });
  await it.deploy();
  await it.local.call("POST", `/apps/my-edge/machines/${it.machine("ewr-1").id}/stop`);
  await new Promise<void>((resolve) => it.local.clock.after(5_000, resolve));
  const { err } = await it.run(["tail"], it.interruptAfter(2_000));
  expect(err).toBe("ewr-1: its machine is stopped, so it sends no logs.\n");
});

test.each([
  [["--status", "6xx"], "Expected statuses separated by commas, e.g. 404, 5xx or 404,5xx."],
  [
    ["--status", "5"],
    "fly-pops: option '--status <codes>' argument '5' is invalid. Expected statuses separated by commas, e.g. 404, 5xx or 404,5xx.",
  ],
  [["--slower", "soon"], "Expected a time, e.g. 250ms, 1s or 2m."],
  [["--site", "ww.example.org"], "There is no site ww.example.org in the stack file. Did you mean www.example.org?"],
])("%j is refused before anything is asked", async (argv, reason) => {
  await using it = await cli();
  const { code, err, calls } = await it.run(["tail", ...argv]);
  expect(code).toBeGreaterThan(0);
  expect(calls).toEqual([]);
  expect(err).toContain(reason);
});
