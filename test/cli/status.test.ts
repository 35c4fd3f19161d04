import { expect, test } from "vitest";
import { failingCheck } from "../../local/fly/runners/state-runner.ts";
import { cli, plantedToken, says, values } from "../support/cli.ts";

const megabyte = 1024 * 1024;

const health = (over: Record<string, unknown> = {}) => ({
  status: "ok",
  pop: "cdg-1",
  components: { nginx: { status: "ok" }, unbound: { status: "ok" }, tailnet: { status: "ok" } },
  certificates: [{ host: "www.example.org", notAfter: "2030-01-01T00:00:00Z", selfSigned: false }],
  memory: { usedBytes: 90 * megabyte, limitBytes: 256 * megabyte, oomKills: 0 },
  traffic: { requests: 100, rejected: 12, sentBytes: 1, receivedBytes: 1, cache: { hit: 90, miss: 10 }, hitRate: 0.9 },
  ...over,
});

const cells = (line: string | undefined) => line?.split(/ {2,}/);

test("one row per PoP; one call for the list, one for addresses and one per PoP", async () => {
  await using it = await cli({ behaviour: { exec: says(health({ image: "c".repeat(64) })) } });
  await it.deploy();
  const { code, out, err, calls } = await it.run(["status"]);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const [top, blank, head, first, second] = out.split("\n");
  expect([top, blank]).toEqual(["test  my-edge  203.0.113.1, 2001:db8::1", ""]);
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
      "rejected",
    ],
  ]);
  const days = Math.floor((Date.parse("2030-01-01T00:00:00Z") - it.local.clock.now()) / 86_400_000);
  expect(cells(first)).toEqual([
    ...["cdg-1", "cdg", "started", it.machine("cdg-1").version, "000000000000", "cccccccccccccccc", "2/2", "ok"],
    ...[`${days} d`, "90/256 MB", "90 %", "12"],
  ]);
  expect(cells(second)?.[0]).toBe("ewr-1");
  expect(calls.toSorted()).toEqual([
    "GET /v1/apps/my-edge/ip_assignments",
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
    addresses: [
      { type: "v4", ip: "203.0.113.1" },
      { type: "v6", ip: "2001:db8::1" },
    ],
    missing: [],
    dns: [],
    problems: [],
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
        certificates: [{ host: "www.example.org", begins: null, expires: "2030-01-01T00:00:00Z", selfSigned: false }],
        vaultSecretId: null,
        memory: { usedBytes: 90 * megabyte, limitBytes: 256 * megabyte },
        traffic: { requests: 100, rejected: 12, hitRate: 0.9 },
        connections: {},
        maintenance: [],
        lease: null,
        problems: [],
      },
    ],
  });
});

test("connections to ports and to sites whose TLS ends at home stand in a table of their own, over all PoPs", async () => {
  const count = (served: number, more: object = {}) => ({
    connections: { served, limited: 0, blocked: 0, failed: 0, ...more },
    sentBytes: 3 * megabyte,
    receivedBytes: 512,
  });
  const ports = { 443: count(1), 22: count(20, { limited: 2, blocked: 3 }) };
  const passThrough = { "git.example.org": count(7, { failed: 4 }) };
  await using it = await cli({ behaviour: { exec: says(health({ ports, passThrough })) } });
  await it.deploy();
  const { code, out } = await it.run(["status"]);
  expect(code).toBe(0);
  const lines = out.trimEnd().split("\n");
  expect(lines.slice(lines.findIndex((line) => line.startsWith("connections to"))).map(cells)).toEqual([
    ["connections to", "served", "refused", "failed", "sent", "received"],
    ["port 22", "40", "10", "0", "6.0 MB", "1.0 KB"],
    ["port 443", "2", "0", "0", "6.0 MB", "1.0 KB"],
    ["git.example.org", "14", "0", "8", "6.0 MB", "1.0 KB"],
  ]);
  const { pops } = JSON.parse((await it.run(["status", "--json"])).out);
  expect(pops[0].connections["22"]).toEqual({
    served: 20,
    refused: 5,
    failed: 0,
    sentBytes: 3 * megabyte,
    receivedBytes: 512,
  });
});

test("a stack without ports shows no connections", async () => {
  await using it = await cli({ behaviour: { exec: says(health()) } });
  await it.deploy();
  expect((await it.run(["status"])).out).not.toContain("connections to");
});

test("nothing is deployed yet: each PoP is missing, and the next step is named", async () => {
  await using it = await cli();
  const { code, out, calls } = await it.run(["status"]);
  expect(code).toBe(3);
  // No state can be read here: what works for one that was never deployed and for one that went.
  expect(out).toContain("cdg-1: in the stack file, but missing on Fly. Deploy it: npx pulumi up --refresh\n");
  expect(out).not.toContain("IPv4 address");
  expect(calls).toEqual(["GET /v1/apps/my-edge/machines", "GET /v1/apps/my-edge/ip_assignments"]);
});

test("a degraded part is shown with its reason, and the exit code says so", async () => {
  const components = { nginx: { status: "ok" }, tailnet: { status: "degraded", reason: "logged out" } };
  await using it = await cli({ behaviour: { exec: says(health({ status: "degraded", components })) } });
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
  const lines = out.split("\n\n")[2]?.trimEnd().split("\n").map(cells);
  expect(lines).toEqual([
    ["PoP", "origin", "node", "path", "latency"],
    ["cdg-1", "https://web.tail.example", "home", "direct", "12.3 ms"],
    ["cdg-1", "http://192.168.1.10:8080", "router", "relayed by par", "84 ms"],
    ["cdg-1", "http://nas.tail.example", "nas", "relayed by a node", "20 ms"],
    ["cdg-1", "http://gone.tail.example", "-", "no path", "-"],
  ]);
  const { pops } = JSON.parse((await it.run(["status", "--json"])).out);
  expect(pops[0].origins[0]).toEqual({
    origin: "https://web.tail.example",
    node: "home",
    path: "direct",
    latencyMs: 12.3,
  });
});

test("the advice about a fault of the tailnet is shown completely", async () => {
  const reason = `locked out by tailnet lock, no node talks to this one: sign it, \`tailscale lock sign nodekey:${"a".repeat(64)}\`; origin http://x.tail.example: ${"no ".repeat(60)}end`;
  const components = { nginx: { status: "ok" }, tailnet: { status: "degraded", reason } };
  await using it = await cli({ behaviour: { exec: says(health({ status: "degraded", components })) } });
  it.config(values({ regions: { cdg: {} } }));
  await it.deploy();
  expect((await it.run(["status"])).out).toContain(`cdg-1: tailnet is degraded, ${reason}`);
});

test("a PoP that is not updated yet reports its components as parts", async () => {
  const { components, ...rest } = health({ status: "degraded" });
  const parts = { ...components, unbound: { status: "degraded", reason: "no response" } };
  await using it = await cli({ behaviour: { exec: says({ ...rest, parts }) } });
  it.config(values({ regions: { cdg: {} } }));
  await it.deploy();
  expect((await it.run(["status"])).out).toContain("cdg-1: unbound is degraded, no response");
});

test("a PoP that cannot be asked still has its row", async () => {
  await using it = await cli({
    behaviour: { exec: () => ({ exitCode: 2, stdout: "", stderr: "pop: ask health: no such command\nusage:" }) },
  });
  await it.deploy();
  const { code, out } = await it.run(["status"]);
  expect(code).toBe(3);
  expect(cells(out.split("\n")[3])?.slice(0, 3)).toEqual(["cdg-1", "cdg", "started"]);
  expect(out).toContain(
    "cdg-1: could not query its health, its image is too old and has no pop ask health. Deploy a new image: npx pulumi up",
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
  expect(out).toContain(
    `cdg-1: machine ${it.machine("cdg-1").id} is stopped. Start it: npx fly-pops start cdg-1. See its logs: npx fly-pops logs cdg-1\n`,
  );
  expect(out).toMatch(/cdg-1 +cdg +stopped .* 0\/2 /);
  expect(out).toMatch(/ewr-1 +ewr +started, cordoned /);
  expect(out).toContain("ewr-1: cordoned, so Fly Proxy sends it no visitors.");
  expect(out).toContain("fra-1: it is running, but not in the stack file. The next pulumi up removes it.");
  expect(calls.filter((call) => call.endsWith("/exec"))).toHaveLength(2);
});

test("a failing check is shown", async () => {
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
  const metadata = { pops_stack: "organization/fly-pops/other", pops_pop: "cdg-9" };
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

test("on a terminal the screen is painted again, in colour; NO_COLOR removes the colour", async () => {
  await using it = await cli({ behaviour: { exec: says(health()) } });
  await it.deploy();
  const painted = await it.run(["status", "--watch"], { isTerminal: true, ...it.interruptAfter(1_000) });
  const { out } = painted;
  expect(out.startsWith("\x1b[?1049h\x1b[?25l\x1b[H")).toBe(true);
  expect(out.endsWith("\x1b[J\x1b[?25h\x1b[?1049l")).toBe(true);
  expect(out).toMatch(/test, my-edge {2}\d\d:\d\d:\d\d UTC/);
  expect(painted.out).toContain("\x1b[32mstarted\x1b[39m");
  const plain = await it.run(["status"], { isTerminal: true, env: { ...it.env, NO_COLOR: "1" } });
  expect(plain.out).not.toContain("\x1b");
  expect((await it.run(["status"])).out).not.toContain("\x1b");
  for (const [FORCE_COLOR, coloured] of [
    ["1", true],
    ["0", false],
    ["false", false],
    ["", false],
  ] as const) {
    const { out } = await it.run(["status"], { env: { ...it.env, FORCE_COLOR } });
    expect(out.includes("\x1b"), FORCE_COLOR).toBe(coloured);
  }
});

const narrow = { window: () => ({ columns: 80, rows: 24 }) };

test("80 columns: columns are dropped whole, sentences broken between words, no line is longer", async () => {
  await using it = await cli({ behaviour: { exec: says(health()) } });
  it.config(values({ regions: { cdg: {}, ewr: {} } }));
  await it.deploy();
  await it.local.call("POST", `/apps/my-edge/machines/${it.machine("ewr-1").id}/cordon`);
  const { out } = await it.run(["status"], { ...narrow, isTerminal: true, env: { ...it.env, NO_COLOR: "1" } });
  for (const line of out.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
  expect(cells(out.split("\n")[2])?.slice(0, 3)).toEqual(["PoP", "region", "state"]);
  expect(out).not.toContain("made from");
  expect(out.replaceAll("\n  ", " ")).toContain(
    "Route it again: npx fly-pops undrain ewr-1, or npx pulumi up --refresh",
  );
});

test("a watched picture never has more lines than the window", async () => {
  await using it = await cli({ behaviour: { exec: says(health()) } });
  await it.deploy();
  const small = { window: () => ({ columns: 80, rows: 5 }), isTerminal: true, ...it.interruptAfter(1_000) };
  const { out } = await it.run(["status", "--watch"], small);
  const last = out.split("\x1b[H").at(-1) ?? "";
  expect(last.split("\r\n").length).toBeLessThan(5);
  expect(last).toContain("lines more");
});

test("--watch goes on through errors, and says what is wrong and since when", async () => {
  await using it = await cli({ behaviour: { exec: says(health()) } });
  await it.deploy();
  it.local.faults.add({
    match: "GET machines",
    times: 1,
    fault: { kind: "status", status: 400, body: { error: "no" } },
  });
  const { code, out, err } = await it.run(["status", "--watch", "--interval", "5"], it.interruptAfter(9_000));
  expect(code).toBe(130);
  expect(err).toMatch(/^since \d\d:\d\d:\d\d UTC: list machines of my-edge: no \(400/);
  expect(out).toContain("cdg-1");
});

test("addresses that are gone are shown in the head, and the exit code says so", async () => {
  await using it = await cli({ behaviour: { exec: says(health()) } });
  await it.deploy();
  await it.local.call("DELETE", "/apps/my-edge/ip_assignments/203.0.113.1");
  const { code, out } = await it.run(["status"]);
  expect(code).toBe(3);
  expect(out).toContain("test  my-edge  2001:db8::1, no IPv4!\n");
  expect(out).toContain("my-edge: the IPv4 address of the stack file is missing, so visitors cannot use it.");
  expect(out).toContain("npx pulumi up --refresh");
});

test.each([
  ["here", { A: ["203.0.113.1"], AAAA: ["2001:db8:0::1"] }, "www.example.org in DNS: here\n"],
  [
    "elsewhere",
    { A: ["198.51.100.7"], AAAA: [] },
    "www.example.org in DNS: 198.51.100.7; expected A 203.0.113.1, AAAA 2001:db8::1\n",
  ],
  ["nowhere", { A: [], AAAA: [] }, "www.example.org in DNS: no address; expected A 203.0.113.1, AAAA 2001:db8::1\n"],
])("where the sites' names lead: %s", async (_, records, reported) => {
  await using it = await cli({ behaviour: { exec: says(health()) } });
  await it.deploy();
  const { code, out } = await it.run(["status"], { resolve: async (_name, type) => records[type] });
  expect(out).toContain(reported);
  expect(code).toBe(0);
});

test("DNS that does not answer holds up nothing for long", async () => {
  await using it = await cli({ behaviour: { exec: says(health()) } });
  await it.deploy();
  for (const resolve of [() => new Promise<never>(() => {}), () => Promise.reject(new Error("SERVFAIL"))])
    expect(await it.run(["status"], { resolve })).toMatchObject({
      code: 0,
      out: expect.stringContaining("www.example.org in DNS: no response\n"),
    });
});

test("a machine under a lease is being changed, by whom and until when, not a raw 409", async () => {
  await using it = await cli({ behaviour: { exec: says(health()) } });
  await it.deploy();
  const { id } = it.machine("ewr-1");
  await it.local.call("POST", `/apps/my-edge/machines/${id}/lease?ttl=60`, {
    ttl: 60,
    description: "fly-pops: update of ewr-1",
  });
  const { code, out } = await it.run(["status"]);
  expect(code).toBe(3);
  expect(out).toMatch(/^ewr-1 is being updated \(lease until \d\d:\d\d:\d\d UTC\)$/m);
  expect(out).not.toContain("409");
  const { pops } = JSON.parse((await it.run(["status", "--json"])).out);
  expect(pops[1].lease).toMatchObject({ description: "fly-pops: update of ewr-1" });
});

test("a failing check has Fly's own words, also where the PoP can be asked", async () => {
  await using it = await cli({ behaviour: { exec: says(health()) } });
  await it.deploy();
  it.local.runner.machine(it.machine("cdg-1").id, { check: failingCheck });
  await new Promise<void>((resolve) => it.local.clock.after(10_000, resolve));
  expect((await it.run(["status"])).out).toContain("cdg-1: check health is critical, connect: connection refused");
});

test.each([
  ["--interval", "0"],
  ["--interval", "soon"],
])("%s %s is refused", async (...args) => {
  await using it = await cli();
  const { code, out, err, calls } = await it.run(["status", ...args]);
  expect({ code, out, calls }).toEqual({ code: 2, out: "", calls: [] });
  expect(err).toContain("Expected seconds from 0.1 to 3600.");
});

test("a token that Fly does not take: one sentence with the next step, and the token nowhere", async () => {
  await using it = await cli();
  const { code, out, err } = await it.run(["status"], { env: { ...it.env, FLY_API_TOKEN: plantedToken } });
  expect({ code, out }).toEqual({ code: 1, out: "" });
  expect(err).toMatch(
    /^Fly: list machines of my-edge: .*\(401, request .+\)\. Fly does not know the token: check FLY_API_TOKEN or fly:token, then run again\.\n$/,
  );
  expect(err).not.toContain(plantedToken);
});

test("no token at all", async () => {
  await using it = await cli();
  const { code, err, calls } = await it.run(["status"], { env: { ...it.env, FLY_API_TOKEN: undefined } });
  expect({ code, calls }).toEqual({ code: 1, calls: [] });
  expect(err).toContain(`No Fly token for ${it.local.url}: set FLY_API_TOKEN`);
});

test("a mistake in the stack file costs a warning, and the comparison with what runs", async () => {
  await using it = await cli({ behaviour: { exec: says(health()), says: ["nginx: started"] } });
  await it.deploy();
  it.config(values({ memoryMB: 256 }));
  for (const argv of [["status"], ["logs", "cdg-1"], ["exec", "cdg-1", "--", "ps"]]) {
    const { code, err } = await it.run(argv);
    expect(code).toBe(0);
    expect(err).toMatch(
      /^warning: Pulumi\.test\.yaml: 1 error .*memoryMB.* The running PoPs are not compared with the file\.\n$/,
    );
  }
  const { out } = await it.run(["status"]);
  expect(out).toMatch(/^cdg-1 +cdg +started/m);
  expect(out).not.toContain("no such PoP");
});

test("a stack file that does not even say the app: its mistakes come out all at once, before any call", async () => {
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
    `Stack prod: there is no Pulumi.prod.yaml in ${it.dir}. Stacks with a file: test. Pass --stack, or create a stack file: npx fly-pops init\n`,
  );
});

test("what PoPs log in to the vault with: until when, and that it ends soon", async () => {
  const reason = "the secret_id for the vault ends at 2026-12-10T12:00:00Z: a PoP that starts after that is refused.";
  const vaultSecretId = { createdAt: "2026-09-11T12:00:00Z", endsAt: "2026-12-10T12:00:00Z", usesLeft: 30 };
  const components = { certs: { status: "degraded", reason } };
  await using it = await cli({ behaviour: { exec: says(health({ status: "degraded", components, vaultSecretId })) } });
  await it.deploy();
  const { pops } = JSON.parse((await it.run(["status", "--json"])).out) as { pops: Record<string, unknown>[] };
  expect(pops[0]).toMatchObject({
    vaultSecretId: { created: "2026-09-11T12:00:00Z", ends: "2026-12-10T12:00:00Z", usesLeft: 30, unknown: null },
    problems: [`cdg-1: certs is degraded, ${reason}`],
  });
  expect((await it.run(["status"])).out).toContain(`cdg-1: certs is degraded, ${reason}`);
});

test("a PoP without a vault, or of an older image, tells nothing of it", async () => {
  await using it = await cli({ behaviour: { exec: says(health()) } });
  await it.deploy();
  const { pops } = JSON.parse((await it.run(["status", "--json"])).out) as { pops: Record<string, unknown>[] };
  expect(pops[0]?.vaultSecretId).toBeNull();
});
