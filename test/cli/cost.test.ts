import { expect, test } from "vitest";
import { cli, values } from "../support/cli.ts";

const two = values({ regions: { cdg: {}, ewr: { memoryMb: 512 } }, defaults: { volumeGb: 3 }, egressGb: 100 });

test("--json: by kind, in cents, Fly is asked for kept volumes alone", async () => {
  await using it = await cli();
  it.config(two);
  const { code, out, calls } = await it.run(["cost", "--json"]);
  expect({ code, calls }).toEqual({ code: 0, calls: ["GET /v1/apps/my-edge/volumes"] });
  const { monthly, currency, rows, assumptions, ...rest } = JSON.parse(out);
  // 30 % of 4.00, by default.
  expect(rest).toEqual({ crawlers: 1.2 });
  expect(currency).toBe("USD");
  expect(rows).toContainEqual({ kind: "machines", name: "cdg-1", what: "shared-cpu-1x, 256 MB in cdg", monthly: 2.2 });
  const total = rows.reduce((sum: number, row: { monthly: number }) => sum + row.monthly, 0);
  expect(total).toBeCloseTo(12.29, 1);
  expect(assumptions.join(" ")).toContain("100 GB to visitors");
  // By hand from Fly's page: 2.20 in cdg and 3.19 in ewr; twice 3 GB at 0.15; 2.00 for the IPv4; 200 GB at 0.02.
  expect(monthly).toEqual({ machines: 5.39, volumes: 0.9, snapshots: 0, addresses: 2, egress: 4, total: 12.29 });
});

test("the table ends with the total; assumptions go to standard error", async () => {
  await using it = await cli();
  it.config(two);
  const { out, err } = await it.run(["cost"]);
  expect(out).toMatch(/^machines cdg-1 +shared-cpu-1x, 256 MB in cdg +2\.20 USD$/m);
  expect(out).toMatch(/^total +12\.29 USD\n$/m);
  expect(err).toContain("100 GB to visitors");
  expect(err).toContain("List prices of https://fly.io/docs/about/pricing/");
});

test("a stack file with mistakes costs nothing yet", async () => {
  await using it = await cli();
  it.config(values({ regions: {} }));
  const { code, out, err } = await it.run(["cost"]);
  expect({ code, out }).toEqual({ code: 1, out: "" });
  expect(err).toContain("Pulumi.test.yaml: ");
});

test("volumes whose PoPs were taken out are rows of the bill", async () => {
  await using it = await cli();
  it.config(two);
  await it.deploy();
  const left = { name: "pop_nrt_1", region: "nrt", size_gb: 3 };
  await it.local.call("POST", "/apps/my-edge/volumes", { ...left, auto_backup_enabled: false });
  await it.local.call("POST", "/apps/my-edge/volumes", { ...left, name: "somebodys" });
  const { code, out, err } = await it.run(["cost"]);
  expect(code).toBe(0);
  expect(out).toMatch(/^volumes nrt-1 +kept, 3 GB +0\.45 USD$/m);
  expect(out).not.toContain("somebodys");
  expect(out).toMatch(/^total +12\.74 USD\n$/m);
  expect(err).not.toContain("are left out: npx fly-pops cost");
});

test("without a token the estimate says what it leaves out, and why", async () => {
  await using it = await cli();
  it.config(two);
  const { code, out, err } = await it.run(["cost"], { env: { ...it.env, FLY_API_TOKEN: undefined } });
  expect(code).toBe(0);
  expect(out).toMatch(/^total +12\.29 USD\n$/m);
  expect(err).toMatch(/^Kept volumes could not be listed: No Fly token/m);
  expect(err).toContain("Volumes that stayed on Fly when earlier deployments took their PoPs out are left out");
});
