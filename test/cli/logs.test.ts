import { expect, test } from "vitest";
import { cli, plantedToken } from "../support/cli.ts";

const says = ["nginx: started", "unbound: started"];

test("the lines of one PoP, with time and name; one call for the list, one for the lines", async () => {
  await using it = await cli({ behaviour: { says } });
  await it.deploy();
  const { id } = it.machine("cdg-1");
  const { code, out, err, calls } = await it.run(["logs", "cdg-1"]);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(
    out
      .trim()
      .split("\n")
      .map((line) => line.replace(/^\S+Z /, "")),
  ).toEqual(["cdg-1 nginx: started", "cdg-1 unbound: started"]);
  expect(calls).toEqual(["GET /v1/apps/my-edge/machines", `GET /api/v1/apps/my-edge/logs?instance=${id}&next_token=`]);
});

test("without a PoP: those of all, by time", async () => {
  await using it = await cli({ behaviour: { says: ["up"] } });
  await it.deploy();
  const { out } = await it.run(["logs"]);
  expect(
    out
      .trim()
      .split("\n")
      .map((line) => line.replace(/^\S+Z /, "")),
  ).toEqual(["cdg-1 up", "ewr-1 up"]);
});

test("--json: one object per line", async () => {
  await using it = await cli({ behaviour: { says: ["up"] } });
  await it.deploy();
  const { out } = await it.run(["logs", "ewr-1", "--json"]);
  expect(JSON.parse(out)).toEqual({
    time: expect.stringMatching(/^\d{4}-.*Z$/),
    pop: "ewr-1",
    region: "ewr",
    machine: it.machine("ewr-1").id,
    level: "info",
    process: null,
    message: "up",
  });
});

const nginx = (status: number, host = "www.example.org") =>
  `[nginx\t] ${JSON.stringify({ host, status, agent: "x\x1b[2Jy" })}`;
const chatter = "[tailscaled\t] 2026/11/29 01:17:07 [v1] magicsock: peermtu: peer MTU status is false";

test("nothing of tailscaled's debug lines, no control character, and nginx's JSON as an object", async () => {
  await using it = await cli({ behaviour: { says: [chatter, nginx(200), "[unbound\t] a\0\x1b[31mb"] } });
  await it.deploy();
  const { out } = await it.run(["logs", "cdg-1"]);
  expect(out.split("\n").map((line) => line.replace(/^\S+Z /, ""))).toEqual([
    'cdg-1 [nginx] {"host":"www.example.org","status":200,"agent":"x\\u001b[2Jy"}',
    "cdg-1 [unbound] ab",
    "",
  ]);
  const json = await it.run(["logs", "cdg-1", "--json"]);
  const [first, second] = json.out.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
  expect(first).toMatchObject({ process: "nginx", fields: { host: "www.example.org", status: 200, agent: "xy" } });
  expect(first).not.toHaveProperty("message");
  expect(second).toMatchObject({ process: "unbound", message: "ab" });
});

test("--process, --site and --errors, each and together", async () => {
  const says = [
    nginx(200),
    nginx(502),
    nginx(502, "other.example"),
    "[unbound\t] error: SERVFAIL",
    "[unbound\t] info: up",
  ];
  await using it = await cli({ behaviour: { says } });
  await it.deploy();
  const found = async (...options: string[]) =>
    (await it.run(["logs", "cdg-1", ...options, "--json"])).out
      .split("\n")
      .flatMap((line) => (line === "" ? [] : [JSON.parse(line)]))
      .map(({ fields, message }) => fields?.status ?? message);
  expect(await found("--process", "nginx")).toEqual([200, 502, 502]);
  expect(await found("--site", "www.example.org")).toEqual([200, 502]);
  expect(await found("--errors")).toEqual([502, 502, "error: SERVFAIL"]);
  expect(await found("--errors", "--process", "nginx", "--site", "www.example.org")).toEqual([502]);
  const { code, out, err } = await it.run(["logs", "cdg-1", "--process", "ngnix"]);
  expect({ code, out, err }).toEqual({
    code: 0,
    out: "",
    err: "None of 5 lines matches. Processes with logs: nginx, unbound.\n",
  });
});

test("-n and --since look further back than Fly tells at once, past what is left out", async () => {
  const minute = (index: number) => ({ afterMs: index * 60_000, line: `[nginx\t] line ${index}` });
  const noise = Array.from({ length: 250 }, (_, index) => ({ afterMs: 300_000 + index * 1_000, line: chatter }));
  const says = [...[0, 1, 2, 3, 4].map(minute), ...noise];
  await using it = await cli({ behaviour: { says } });
  await it.deploy();
  await it.local.clock.advance(600_000);
  const lines = async (...options: string[]) =>
    (await it.run(["logs", "cdg-1", ...options])).out.match(/line \d/g) ?? [];
  const all = ["line 0", "line 1", "line 2", "line 3", "line 4"];
  expect(await lines()).toEqual(all);
  expect(await lines("-n", "2")).toEqual(all.slice(-2));
  expect(await lines("--since", "9m")).toEqual(all.slice(2));
  expect(await lines("--since", "9m", "-n", "1")).toEqual(all.slice(-1));
  expect(await lines("--since", "1s")).toEqual([]);
});

test.each([
  [
    ["--since", "yesterday"],
    "logs: --since yesterday is not a time. Expected 90s, 10m, 2h, 7d, or a time such as 2026-03-01T02:00:00Z.\n",
  ],
  [["-n", "0"], "Expected a whole number from 1 to 100000."],
])("%j is refused before anything is asked", async (options, reason) => {
  await using it = await cli();
  const { code, err, calls } = await it.run(["logs", ...options]);
  expect({ code, calls }).toEqual({ code: 2, calls: [] });
  expect(err).toContain(reason);
});

test("-f goes on: each line once, what a later boot says too, until Ctrl-C", async () => {
  await using it = await cli({ behaviour: { says: ["up"] } });
  await it.deploy();
  const { id } = it.machine("cdg-1");
  it.local.clock.after(3_000, () => void it.local.call("POST", `/apps/my-edge/machines/${id}/restart`));
  const { code, out, calls } = await it.run(["logs", "-f", "cdg-1"], it.interruptAfter(10_000));
  expect(code).toBe(130);
  expect(out.match(/ cdg-1 up$/gm)).toHaveLength(2);
  const asked = calls.filter((call) => call.includes("/logs"));
  expect(asked.length).toBeGreaterThan(8);
  expect(asked[1]).toMatch(/next_token=\d{19}$/);
});

test("-f goes on through errors of the API: each reason once, no line lost, and ends where the token is not taken", async () => {
  await using it = await cli({ behaviour: { says: ["up"] } });
  await it.deploy();
  const { id } = it.machine("cdg-1");
  const away = { kind: "status", status: 400, body: { error: "no logs today" } } as const;
  it.local.clock.after(1_500, () => it.local.faults.next("GET api/apps/:app/logs", away));
  it.local.clock.after(3_000, () => void it.local.call("POST", `/apps/my-edge/machines/${id}/restart`));
  const { code, out, err } = await it.run(["logs", "-f", "cdg-1"], it.interruptAfter(30_000));
  expect(code).toBe(130);
  expect(out.match(/ cdg-1 up$/gm)).toHaveLength(2);
  expect(err.match(/no logs today/g)).toHaveLength(1);
  expect(err).toContain("Retrying until Ctrl-C.\nLogs are available again.\n");

  it.local.clock.after(1_500, () =>
    it.local.faults.next("GET api/apps/:app/logs", { kind: "status", status: 401, body: { error: "unauthorized" } }),
  );
  const refused = await it.run(["logs", "-f", "cdg-1"], it.interruptAfter(30_000));
  expect(refused.code).toBe(1);
  expect(refused.err).toContain("unauthorized (401");
});

test("before anything is deployed there is nothing to read", async () => {
  await using it = await cli();
  expect(await it.run(["logs"])).toEqual({
    code: 1,
    out: "",
    err: "my-edge has no machine yet, so there are no logs. Deploy it: npx pulumi up --refresh\n",
    calls: ["GET /v1/apps/my-edge/machines"],
  });
});

test("a PoP there is not", async () => {
  await using it = await cli();
  await it.deploy();
  const { code, out, err, calls } = await it.run(["logs", "fra-1"]);
  expect({ code, out, calls }).toEqual({ code: 1, out: "", calls: ["GET /v1/apps/my-edge/machines"] });
  expect(err).toBe("There is no PoP fra-1. PoPs in the stack file and in my-edge: cdg-1, ewr-1.\n");
});

test("a PoP that is not deployed yet", async () => {
  await using it = await cli();
  const { code, err } = await it.run(["logs", "cdg-1"]);
  expect(code).toBe(1);
  expect(err).toBe(
    "cdg-1 is in the stack file, but my-edge has no machine for it yet. Deploy it: npx pulumi up --refresh\n",
  );
});

test("logs that cannot be read: which server was asked, and another way", async () => {
  await using it = await cli({ behaviour: { says } });
  await it.deploy();
  it.local.faults.next("GET api/apps/:app/logs", { kind: "status", status: 403, body: { error: "unauthorized" } });
  const { code, out, err } = await it.run(["logs", "cdg-1"]);
  expect({ code, out }).toEqual({ code: 1, out: "" });
  expect(err).toMatch(/^read logs of my-edge: unauthorized \(403, request .+\)\. The Machines API has no logs, so /);
  expect(err).toContain(`so this uses ${it.local.url}`);
  expect(err).toContain(`fly logs -a my-edge --machine ${it.machine("cdg-1").id}\n`);
});

test("FLY_API_BASE_URL is where logs are asked, as for flyctl", async () => {
  await using it = await cli({ behaviour: { says } });
  await it.deploy();
  const { code, err } = await it.run(["logs"], { env: { ...it.env, FLY_API_BASE_URL: "http://127.0.0.1:1" } });
  expect(code).toBe(1);
  expect(err).toContain("nothing listens at http://127.0.0.1:1/api");
});

test("a token that a PoP writes into its log is blotted out", async () => {
  await using it = await cli({ behaviour: { says: [`token is ${plantedToken} and fm2_lJPECAAAAAAAAB`] } });
  await it.deploy();
  const { out } = await it.run(["logs", "cdg-1"], { secrets: new Set([plantedToken]) });
  expect(out).toContain("cdg-1 token is [redacted] and [redacted]");
});
