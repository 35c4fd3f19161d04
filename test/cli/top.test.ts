import { expect, test } from "vitest";
import { type Cli, cli, values } from "../support/cli.ts";
import { scrape } from "../support/metrics.ts";

const sites = [
  { host: "www.example.org", origin: "http://origin.example:8080" },
  { host: "shop.example.org", origin: "http://shop.example:8080" },
];

/** PoPs under a steady load since the clock's 0, as `pop ask metrics` tells it. */
async function busy(
  over: Record<string, unknown> = {},
  more: (load: (perSecond: number) => number) => string = () => "",
): Promise<Cli> {
  let it: Cli | undefined;
  it = await cli({
    behaviour: {
      exec: (command) => {
        if (command.join(" ") !== "/usr/bin/pop ask metrics")
          return { exitCode: 2, stdout: "", stderr: `pop: ${command.slice(1).join(" ")}: no such command` };
        const seconds = ((it?.local.clock.now() ?? 0) - Date.UTC(2026, 0, 1)) / 1000;
        const load = (perSecond: number) => Math.round(perSecond * seconds);
        return {
          exitCode: 0,
          stderr: "",
          stdout: `${scrape({
            other: {},
            "www.example.org": { ok: load(40), rejected: load(2), hits: load(30), misses: load(10), fast: load(40) },
            "shop.example.org": { ok: load(9), errors: load(1), passed: load(10), slow: load(10) },
          })}${more(load)}`,
        };
      },
    },
  });
  it.config(values({ sites, ...over }));
  await it.deploy();
  return it;
}

const cells = (line: string | undefined) => line?.split(/ {2,}/);

test("by PoP and by site: requests, rejected ones and 5xx a second, hit rate, p95; each PoP is asked twice, side by side", async () => {
  await using it = await busy();
  const { code, out, err, calls } = await it.run(["top"]);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out.trimEnd().split("\n").map(cells)).toEqual([
    ["PoP", "requests/s", "rejected/s", "5xx/s", "5xx", "hits", "p95"],
    ["cdg-1", "50.0", "2.0", "1.0", "2 %", "75 %", "775 ms"],
    ["ewr-1", "50.0", "2.0", "1.0", "2 %", "75 %", "775 ms"],
    ["all", "100", "4.0", "2.0", "2 %", "75 %", "775 ms"],
    [""],
    ["site", "requests/s", "rejected/s", "5xx/s", "5xx", "hits", "p95"],
    ["www.example.org", "80.0", "4.0", "0.0", "0 %", "75 %", "95 ms"],
    ["shop.example.org", "20.0", "0.0", "2.0", "10 %", "-", "955 ms"],
  ]);
  expect(calls.filter((call) => call.endsWith("/exec"))).toHaveLength(4);
  expect(calls.filter((call) => call.startsWith("GET"))).toHaveLength(2);
});

test("ports, and sites whose TLS ends at home, have a table of connections", async () => {
  await using it = await busy({}, (load) =>
    [
      `pop_port_connections_total{port="22",result="served"} ${load(2)}`,
      `pop_port_connections_total{port="22",result="limited"} ${load(1)}`,
      `pop_port_connections_total{port="22",result="blocked"} ${load(3)}`,
      `pop_port_connections_total{port="22",result="failed"} 0`,
      `pop_port_sent_bytes_total{port="22"} ${load(2048)}`,
      `pop_port_received_bytes_total{port="22"} ${load(100)}`,
      `pop_port_connection_seconds_total{port="22"} ${load(5)}`,
      `pop_pass_through_connections_total{site="git.example.org",result="served"} ${load(50)}`,
      `pop_pass_through_connections_total{site="git.example.org",result="failed"} ${load(10)}`,
      `pop_pass_through_sent_bytes_total{site="git.example.org"} ${load(50 * 1024 * 1024)}`,
      "",
    ].join("\n"),
  );
  const { code, out } = await it.run(["top"]);
  expect(code).toBe(0);
  const lines = out.trimEnd().split("\n");
  expect(lines.slice(lines.findIndex((line) => line.startsWith("connections to"))).map(cells)).toEqual([
    ["connections to", "served/s", "refused/s", "failed/s", "sent", "received"],
    ["port 22", "4.0", "8.0", "0.0", "4.0 KB/s", "200 B/s"],
    ["git.example.org", "100", "0.0", "20.0", "100 MB/s", "0 B/s"],
  ]);
  // Requests are counted as before.
  expect(out).toMatch(/^all +100 /m);
  const { connections } = JSON.parse((await it.run(["top", "--json"])).out);
  expect(connections[1]).toEqual({
    to: "git.example.org",
    servedPerSecond: 100,
    refusedPerSecond: 0,
    failedPerSecond: 20,
    sentBytesPerSecond: 100 * 1024 * 1024,
    receivedBytesPerSecond: 0,
  });
});

test("--json: the same for programs, with the sites of each PoP", async () => {
  await using it = await busy({ regions: { cdg: {} } });
  const { code, out } = await it.run(["top", "--json", "--interval", "5"]);
  expect(code).toBe(0);
  const seen = JSON.parse(out);
  expect(seen).toMatchObject({ stack: "test", app: "my-edge", total: { requestsPerSecond: 50 } });
  const rates = {
    requestsPerSecond: 10,
    errorsPerSecond: 1,
    rejectedPerSecond: 0,
    errorRate: 0.1,
    hitRate: null,
    p95Seconds: expect.closeTo(0.955),
  };
  expect(seen.sites[1]).toEqual({ site: "shop.example.org", ...rates });
  expect(seen.pops).toEqual([{ pop: "cdg-1", region: "cdg", ...seen.total, sites: seen.sites }]);
});

test("a PoP that cannot be asked is one line, the others go on, and the exit code says so", async () => {
  await using it = await busy({ regions: { cdg: {}, ewr: {}, fra: {} } });
  const { id } = it.machine("cdg-1");
  await it.local.call("POST", `/apps/my-edge/machines/${id}/stop`);
  await it.local.call("GET", `/apps/my-edge/machines/${id}/wait?state=stopped`);
  it.local.runner.machine(it.machine("ewr-1").id, {
    exec: () => ({ exitCode: 2, stdout: "", stderr: "pop: ask metrics: no such command\nusage:" }),
  });
  const { code, out, err } = await it.run(["top"]);
  expect({ code, err }).toEqual({ code: 3, err: "" });
  expect(out).toContain(`\n\ncdg-1: could not be queried, machine ${id} is stopped\n`);
  expect(out).toContain(
    "\newr-1: could not be queried, its image is too old and has no pop ask metrics. Deploy a new image: npx pulumi up\n",
  );
  expect(out).toMatch(/^fra-1 +50\.0/m);
  const { pops } = JSON.parse((await it.run(["top", "--json"])).out);
  expect(pops[0]).toEqual({ pop: "cdg-1", region: "cdg", reason: `machine ${id} is stopped` });
});

test("nothing is deployed yet: a line for each PoP", async () => {
  await using it = await cli();
  const { code, out } = await it.run(["top"]);
  expect(code).toBe(3);
  expect(out).toContain("cdg-1: could not be queried, Fly has no machine for it");
});

test("-n 3: three pictures, a clock over each, and an end", async () => {
  await using it = await busy();
  const began = it.local.clock.now();
  const { code, out } = await it.run(["top", "-n", "3", "--interval", "5"]);
  expect(code).toBe(0);
  expect(out.match(/^test, app my-edge, \d\d:\d\d:\d\d UTC$/gm)).toHaveLength(3);
  expect(it.local.clock.now() - began).toBe(15_000);
  expect(out).not.toContain("\x1b");
});

test("--watch goes on through errors of Fly, which stand on standard error, until Ctrl-C", async () => {
  await using it = await busy();
  it.local.faults.next("GET machines", { kind: "status", status: 403, body: { error: "unauthorized" } });
  const interrupt = new AbortController();
  let out = "";
  const { code, err } = await it.run(["top", "--watch", "--interval", "5"], {
    interrupted: interrupt.signal,
    out: (text) => {
      out += text;
      if (out.match(/^all /gm)?.length === 2) interrupt.abort(new Error("interrupted"));
    },
  });
  expect(code).toBe(130);
  expect(err).toMatch(/^since \d\d:\d\d:\d\d UTC: list machines of my-edge: .*403.*\n$/);
});

test("without --watch an error of Fly ends it", async () => {
  await using it = await busy();
  it.local.faults.next("GET machines", { kind: "status", status: 403, body: { error: "unauthorized" } });
  const { code, err } = await it.run(["top"]);
  expect({ code, err: err.includes("list machines of my-edge") }).toEqual({ code: 1, err: true });
});
