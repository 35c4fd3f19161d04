import { expect, test } from "vitest";
import { failingCheck } from "../../local/fly/state-runner.ts";
import { cli, planted, says, values } from "../support/cli.ts";

const megabyte = 1024 * 1024;

const health = (over: Record<string, unknown> = {}) => ({
  status: "ok",
  pop: "cdg-1",
  parts: { nginx: { status: "ok" }, unbound: { status: "ok" }, tailnet: { status: "ok" } },
  certificates: [{ host: "www.example.org", notAfter: "2030-01-01T00:00:00Z", selfSigned: false }],
  memory: { usedBytes: 90 * megabyte, limitBytes: 256 * megabyte, oomKills: 0 },
  traffic: { requests: 100, sentBytes: 1, receivedBytes: 1, cache: { hit: 90, miss: 10 }, hitRate: 0.9 },
  ...over,
});

const cells = (line: string | undefined) => line?.split(/ {2,}/);

test("a row a PoP; one call for the list and one a PoP", async () => {
  await using it = await cli({ behaviour: { exec: says(health({ image: "c".repeat(64) })) } });
  await it.deploy();
  const { code, out, err, calls } = await it.run(["status"]);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const [head, first, second] = out.split("\n");
  expect(cells(head)).toEqual([
    ...[
      "PoP",
      "region",
      "state",
      "version",
      "image",
      "made from",
      "checks",
      "tailnet",
      "certificates",
      "memory",
      "hits",
    ],
  ]);
  const days = Math.floor((Date.parse("2030-01-01T00:00:00Z") - it.local.clock.now()) / 86_400_000);
  expect(cells(first)).toEqual([
    ...["cdg-1", "cdg", "started", it.machine("cdg-1").version, "000000000000", "cccccccccccccccc", "2/2", "ok"],
    ...[`${days} d`, "90/256 MB", "90 %"],
  ]);
  expect(cells(second)?.[0]).toBe("ewr-1");
  expect(calls.toSorted()).toEqual([
    "GET /v1/apps/my-edge/machines",
    ...["cdg-1", "ewr-1"].map((pop) => `POST /v1/apps/my-edge/machines/${it.machine(pop).id}/exec`).toSorted(),
  ]);
});

test("--json: everything, for programs", async () => {
  await using it = await cli({ behaviour: { exec: says(health({ image: "c".repeat(64) })) } });
  it.config(values({ regions: { cdg: {} } }));
  await it.deploy();
  const { out } = await it.run(["status", "--json"]);
  expect(out.split("\n")).toHaveLength(2);
  expect(JSON.parse(out)).toEqual({
    stack: "test",
    app: "my-edge",
    pops: [
      {
        pop: "cdg-1",
        region: "cdg",
        state: "started",
        cordoned: false,
        machine: it.machine("cdg-1").id,
        version: it.machine("cdg-1").version,
        image: expect.stringContaining("@sha256:"),
        context: "c".repeat(64),
        checks: { passing: 2, all: 2 },
        tailnet: "ok",
        origins: [],
        certificates: [{ host: "www.example.org", expires: "2030-01-01T00:00:00Z", selfSigned: false }],
        memory: { usedBytes: 90 * megabyte, limitBytes: 256 * megabyte },
        traffic: { requests: 100, hitRate: 0.9 },
        problems: [],
      },
    ],
  });
});

test("nothing is deployed yet: each PoP is missing, and the next step is named", async () => {
  await using it = await cli();
  const { code, out, calls } = await it.run(["status"]);
  expect(code).toBe(3);
  expect(out).toContain("cdg-1: wanted by the stack file, not there. Deploy it: npx pulumi up");
  expect(calls).toEqual(["GET /v1/apps/my-edge/machines"]);
});

test("a part that is degraded is told with its reason, and the exit code says so", async () => {
  const parts = { nginx: { status: "ok" }, tailnet: { status: "degraded", reason: "logged out" } };
  await using it = await cli({ behaviour: { exec: says(health({ status: "degraded", parts })) } });
  await it.deploy();
  const { code, out } = await it.run(["status"]);
  expect(code).toBe(3);
  expect(out).toContain("\ncdg-1: tailnet is degraded, logged out\n");
});

test("the way to each origin: direct or relayed, by whom, and how long an answer takes", async () => {
  const origins = [
    { origin: "https://web.tail.example", node: "home", via: "direct", latencySeconds: 0.01234 },
    { origin: "http://192.168.1.10:8080", node: "router", via: "relay", relay: "par", latencySeconds: 0.084 },
    { origin: "http://nas.tail.example", node: "nas", via: "peer", latencySeconds: 0.02 },
    { origin: "http://gone.tail.example", problem: "no answer" },
  ];
  await using it = await cli({ behaviour: { exec: says(health({ origins })) } });
  it.config(values({ regions: { cdg: {} } }));
  await it.deploy();
  const { code, out } = await it.run(["status"]);
  expect(code).toBe(0);
  const lines = out.split("\n\n")[1]?.trimEnd().split("\n").map(cells);
  expect(lines).toEqual([
    ["PoP", "origin", "node", "path", "latency"],
    ["cdg-1", "https://web.tail.example", "home", "direct", "12.3 ms"],
    ["cdg-1", "http://192.168.1.10:8080", "router", "relayed by par", "84 ms"],
    ["cdg-1", "http://nas.tail.example", "nas", "relayed by a node", "20 ms"],
    ["cdg-1", "http://gone.tail.example", "-", "no way", "-"],
  ]);
  const { pops } = JSON.parse((await it.run(["status", "--json"])).out);
  expect(pops[0].origins[0]).toEqual({
    origin: "https://web.tail.example",
    node: "home",
    path: "direct",
    latencyMs: 12.3,
  });
});

test("what to do about a fault of the tailnet is told to its end", async () => {
  const reason = `locked out by tailnet lock, no node talks to this one: sign it, \`tailscale lock sign nodekey:${"a".repeat(64)}\`; origin http://x.tail.example: ${"no ".repeat(60)}end`;
  const parts = { nginx: { status: "ok" }, tailnet: { status: "degraded", reason } };
  await using it = await cli({ behaviour: { exec: says(health({ status: "degraded", parts })) } });
  it.config(values({ regions: { cdg: {} } }));
  await it.deploy();
  expect((await it.run(["status"])).out).toContain(`cdg-1: tailnet is degraded, ${reason}`);
});

test("a PoP that cannot be asked still has its row", async () => {
  await using it = await cli({
    behaviour: { exec: () => ({ exitCode: 2, stdout: "", stderr: "pop: ask health: no such command\nusage:" }) },
  });
  await it.deploy();
  const { code, out } = await it.run(["status"]);
  expect(code).toBe(3);
  expect(cells(out.split("\n")[1])?.slice(0, 3)).toEqual(["cdg-1", "cdg", "started"]);
  expect(out).toContain(
    "cdg-1: its health could not be asked, pop ask health ended with 2: pop: ask health: no such command",
  );
});

test("stopped, cordoned, no longer wanted: each in a sentence, and who does not run is not asked", async () => {
  await using it = await cli({ behaviour: { exec: says(health()) } });
  it.config(values({ regions: { cdg: {}, ewr: {}, fra: {} } }));
  await it.deploy();
  it.config(values());
  const on = (pop: string, verb: string) =>
    it.local.call("POST", `/apps/my-edge/machines/${it.machine(pop).id}/${verb}`);
  await on("cdg-1", "stop");
  await on("ewr-1", "cordon");
  await it.local.call("GET", `/apps/my-edge/machines/${it.machine("cdg-1").id}/wait?state=stopped`);
  const { code, out, calls } = await it.run(["status"]);
  expect(code).toBe(3);
  expect(out).toContain(`cdg-1: machine ${it.machine("cdg-1").id} is stopped. What it said: npx fly-pops logs cdg-1\n`);
  expect(out).toMatch(/ewr-1 +ewr +started, cordoned /);
  expect(out).toContain("ewr-1: cordoned, Fly Proxy sends it no visitors.");
  expect(out).toContain("fra-1: runs, but the stack file has no such PoP. The next pulumi up removes it.");
  expect(calls.filter((call) => call.endsWith("/exec"))).toHaveLength(2);
});

test("a failing check is told", async () => {
  await using it = await cli({ behaviour: { exec: () => ({ exitCode: 1, stdout: "", stderr: "no answer" }) } });
  await it.deploy();
  it.local.runner.machine(it.machine("cdg-1").id, { check: failingCheck });
  await new Promise<void>((resolve) => it.local.clock.after(10_000, resolve));
  const { out } = await it.run(["status"]);
  expect(out).toMatch(/cdg-1 +cdg +started .* 0\/2 /);
  expect(out).toContain("cdg-1: check health is critical, connect: connection refused");
});

test("machines of other stacks in the same app are not shown", async () => {
  await using it = await cli({ behaviour: { exec: says(health()) } });
  await it.deploy();
  const metadata = { fly_pops_stack: "organization/fly-pops/other", fly_pops_key: "cdg-9" };
  await it.local.call("POST", "/apps/my-edge/machines", {
    name: "cdg-9",
    region: "cdg",
    config: { image: "registry.example/pop:1", metadata },
  });
  expect((await it.run(["status"])).out).not.toContain("cdg-9");
});

test("--watch without a terminal: a table a look, a blank line between, until Ctrl-C", async () => {
  await using it = await cli({ behaviour: { exec: says(health()) } });
  await it.deploy();
  const { code, out, err } = await it.run(["status", "--watch", "--interval", "5"], it.interruptAfter(12_000));
  expect({ code, err }).toEqual({ code: 130, err: "" });
  expect(out.match(/^PoP /gm)).toHaveLength(3);
  expect(out).not.toContain("\x1b");
});

test("on a terminal the screen is painted anew, in colour; NO_COLOR takes the colour", async () => {
  await using it = await cli({ behaviour: { exec: says(health()) } });
  await it.deploy();
  const painted = await it.run(["status", "--watch"], { isTerminal: true, ...it.interruptAfter(1_000) });
  expect(painted.out).toContain("\x1b[H\x1b[J");
  expect(painted.out).toContain("\x1b[32mstarted\x1b[39m");
  const plain = await it.run(["status"], { isTerminal: true, env: { ...it.env, NO_COLOR: "1" } });
  expect(plain.out).not.toContain("\x1b");
  expect((await it.run(["status"])).out).not.toContain("\x1b");
});

test.each([
  ["--interval", "0"],
  ["--interval", "soon"],
])("%s %s is refused", async (...args) => {
  await using it = await cli();
  const { code, out, err, calls } = await it.run(["status", ...args]);
  expect({ code, out, calls }).toEqual({ code: 2, out: "", calls: [] });
  expect(err).toContain("It takes seconds from 0.1 to 3600.");
});

test("a token that Fly does not take: one sentence with the next step, and the token nowhere", async () => {
  await using it = await cli();
  const { code, out, err } = await it.run(["status"], { env: { ...it.env, FLY_API_TOKEN: planted } });
  expect({ code, out }).toEqual({ code: 1, out: "" });
  expect(err).toMatch(
    /^Fly: list machines of my-edge: .*\(401, request .+\)\. Fly does not know the token: check FLY_API_TOKEN or fly:token, then run again\.\n$/,
  );
  expect(err).not.toContain(planted);
});

test("no token at all", async () => {
  await using it = await cli();
  const { code, err, calls } = await it.run(["status"], { env: { ...it.env, FLY_API_TOKEN: undefined } });
  expect({ code, calls }).toEqual({ code: 1, calls: [] });
  expect(err).toContain(`No Fly token for ${it.local.url}: set FLY_API_TOKEN`);
});

test("mistakes of the stack file come out all at once, before any call", async () => {
  await using it = await cli();
  it.config(values({ app: "My Edge", regions: { paris: {} } }));
  const { code, err, calls } = await it.run(["status"]);
  expect({ code, calls }).toEqual({ code: 1, calls: [] });
  expect(err).toMatch(/^Pulumi\.test\.yaml: /);
  expect(err).toContain("app");
  expect(err).toContain("did you mean cdg?");
});

test("a stack without a file names those that have one", async () => {
  await using it = await cli();
  const { code, err } = await it.run(["status", "--stack", "prod"]);
  expect(code).toBe(1);
  expect(err).toBe(
    `Stack prod: there is no Pulumi.prod.yaml in ${it.dir}. Stacks with a file: test. Name one with --stack, or write one: npx fly-pops init\n`,
  );
});
