/** What `replace` takes, and what it refuses before Pulumi is asked for anything; the deed itself is in test/slow/hosts.test.ts. */
import { expect, test } from "vitest";
import { replacementLoss } from "../../cli/replacement-loss.ts";
import { sharedHostWarnings } from "../../components/placement.ts";
import { parseConfig } from "../../config/parse.ts";
import { cli, values } from "../support/cli.ts";

const edge = (over: Record<string, unknown> = {}) => parseConfig(values(over));
const luggage = { blog: { files: "./blog", command: ["./blog"], port: 8080 } };

test("a PoP of origins alone loses what comes again", () => {
  const { consequences, blockers } = replacementLoss("cdg-1", edge(), undefined);
  expect(blockers).toEqual([]);
  expect(consequences.join("\n")).toContain("The cache is lost: every page is fetched from its origin again.");
  expect(consequences.join("\n")).toContain(
    "Certificates that were put on the volume manually are lost. The PoP cannot be queried",
  );
});

test("luggage's data is given up by a word of its own", () => {
  const [refusal] = replacementLoss("cdg-1", edge({ luggage }), undefined).blockers;
  expect(refusal).toMatch(/^luggage \(blog\) may keep data on it, in \/var\/lib\/luggage\..*then pass --lose-luggage$/);
  const given = replacementLoss("cdg-1", edge({ luggage }), undefined, { loseLuggage: true });
  expect(given.blockers).toEqual([]);
  expect(given.consequences).toContain("The data of blog in /var/lib/luggage is lost permanently.");
});

test("a volume that was taken over is not given up", () => {
  const adopted = edge({ adopt: { pops: { "cdg-1": { volume: "vol_0123456789abcdef" } } } });
  expect(replacementLoss("cdg-1", adopted, undefined).blockers.join()).toContain("fly-pops:adopt");
  expect(replacementLoss("ewr-1", adopted, undefined).blockers).toEqual([]);
});

test("a certificate put there by hand is not given up where there is no vault", () => {
  const health = (selfSigned: boolean) =>
    ({
      components: {},
      certificates: [{ host: "www.example.org", notAfter: "2030-01-01T00:00:00Z", selfSigned }],
    }) as never;
  expect(replacementLoss("cdg-1", edge(), health(true)).blockers).toEqual([]);
  expect(replacementLoss("cdg-1", edge(), health(false)).blockers.join()).toContain(
    "/var/lib/pop/certs/www.example.org.pem",
  );
});

test("hosts that PoPs share are named with them; an unknown host is shared by none", () => {
  const placed = [
    { name: "cdg-1", zone: "a" },
    { name: "cdg-2", zone: "b" },
    { name: "cdg-3", zone: "a" },
    { name: "ewr-1", zone: null },
    { name: "ewr-2", zone: null },
  ];
  expect(sharedHostWarnings(placed)).toEqual([
    "cdg-1 and cdg-3 are on one host, a: if it fails, all of them are down. To move one to another host, if Fly has one: npx fly-pops replace cdg-3",
  ]);
});

test("a PoP that is not in the stack file cannot be replaced; nothing is called", async () => {
  await using it = await cli();
  expect(await it.run(["replace", "ams-1", "--yes"])).toMatchObject({ code: 1, calls: [] });
  expect(await it.run(["replace"])).toMatchObject({ code: 2 });
});

test("doctor names hosts that are shared, and egress addresses", async () => {
  await using it = await cli();
  it.config(values({ regions: { cdg: { replicas: 2 } } }));
  for (const n of [1, 2, 3]) it.local.fly.platform.full(`cdg-0${n}`);
  await it.deploy();
  const found = async () =>
    Object.fromEntries(
      (JSON.parse((await it.run(["doctor", "--json"])).out) as { name: string }[]).map((row) => [row.name, row]),
    );
  expect(await found()).toMatchObject({
    hosts: { status: "failed", fix: expect.stringContaining("cdg-1 and cdg-2 are on one host, cdg-04") },
    "egress addresses": { status: "ok", detail: expect.stringMatching(/^not fixed/) },
  });
  await it.local.call("POST", "/apps/my-edge/ip_assignments", { type: "egress_v4" });
  expect(await found()).toMatchObject({ "egress addresses": { detail: "fixed: 198.51.100.1" } });
});
