import { expect, test } from "vitest";
import { cli, planted } from "../support/cli.ts";

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

test("--json: an object a line", async () => {
  await using it = await cli({ behaviour: { says: ["up"] } });
  await it.deploy();
  const { out } = await it.run(["logs", "ewr-1", "--json"]);
  expect(JSON.parse(out)).toEqual({
    time: expect.stringMatching(/^\d{4}-.*Z$/),
    pop: "ewr-1",
    region: "ewr",
    machine: it.machine("ewr-1").id,
    level: "info",
    message: "up",
  });
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
  expect(asked[1]).toMatch(/next_token=\d{4}-/);
});

test("a PoP there is not", async () => {
  await using it = await cli();
  await it.deploy();
  const { code, out, err, calls } = await it.run(["logs", "fra-1"]);
  expect({ code, out, calls }).toEqual({ code: 1, out: "", calls: ["GET /v1/apps/my-edge/machines"] });
  expect(err).toBe("There is no PoP fra-1. Stack file and my-edge have: cdg-1, ewr-1.\n");
});

test("a PoP that is not deployed yet", async () => {
  await using it = await cli();
  const { code, err } = await it.run(["logs", "cdg-1"]);
  expect(code).toBe(1);
  expect(err).toBe(
    "cdg-1: stands in the stack file, but my-edge has no machine for it yet. Deploy it: npx pulumi up\n",
  );
});

test("logs that cannot be read: which server was asked, and another way", async () => {
  await using it = await cli({ behaviour: { says } });
  await it.deploy();
  it.local.faults.next("GET api/apps/:app/logs", { kind: "status", status: 403, body: { error: "unauthorized" } });
  const { code, out, err } = await it.run(["logs", "cdg-1"]);
  expect({ code, out }).toEqual({ code: 1, out: "" });
  expect(err).toMatch(/^read logs of my-edge: unauthorized \(403, request .+\)\. The Machines API has no logs, so /);
  expect(err).toContain(`${it.local.url} was asked`);
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
  await using it = await cli({ behaviour: { says: [`token is ${planted} and fm2_lJPECAAAAAAAAB`] } });
  await it.deploy();
  const { out } = await it.run(["logs", "cdg-1"], { secrets: new Set([planted]) });
  expect(out).toContain("cdg-1 token is [redacted] and [redacted]");
});
