import { get } from "node:http";
import { expect, test } from "vitest";
import type { Picture } from "../../status-page/picture.ts";
import { cli } from "../support/cli.ts";
import { dashboard } from "../support/dashboard.ts";

/** Pictures of the page's stream, until one is as wanted. */
async function pictureOf(
  url: string,
  wanted: (picture: Picture) => boolean,
): Promise<{ picture: Picture; text: string }> {
  const stream = await fetch(`${url}events`);
  let text = "";
  for await (const piece of stream.body ?? []) {
    text += Buffer.from(piece).toString();
    const pictures = [...text.matchAll(/^data: (.*)\n\n/gm)].map(([, json = ""]) => JSON.parse(json) as Picture);
    const picture = pictures.find(wanted);
    if (picture) return { picture, text };
  }
  throw new Error("the stream ended");
}

test("the page of a stack: PoPs as status has them, rates as top has them, sites, certificates, addresses", async () => {
  await using it = await dashboard();
  const { picture, text } = await pictureOf(it.url, ({ totals }) => totals.requestsPerSecond !== null);
  expect(picture.head).toMatchObject({
    title: "test",
    about: ["app my-edge", expect.stringMatching(/^[\d.]+$/), expect.stringMatching(/^[\da-f:]+$/)],
    problem: null,
  });
  expect(picture.pops.map(({ name, phase }) => `${name} ${phase}`)).toEqual([
    ...["cdg-1 serving", "cdg-2 serving", "ewr-1 stopped", "fra-1 serving", "lhr-1 drained", "nrt-1 missing"],
  ]);
  // By the wall clock: what the rates are exactly, test/unit/cli/dashboard/picture.test.ts has.
  expect(picture.totals.requestsPerSecond).toBeGreaterThan(0);
  expect(picture.totals.hitRate).toBeCloseTo(0.9, 1);
  expect(picture.totals).toMatchObject({ serving: 3, connections: 48 });
  expect(picture.sites.map(({ site }) => site)).toEqual(["www.example.org", "shop.example.org"]);
  expect(Math.floor(((picture.sites[1]?.certificate?.ends ?? 0) - picture.at) / 86_400_000)).toBe(5);
  expect(picture.pops.flatMap(({ reasons }) => reasons)).toContain(
    "fra-1: tailnet is degraded, no contact with the tailnet's control server",
  );
  expect(picture.events.map((event) => event.text)).toContain("lhr-1: taken out of routing");
  expect(text).not.toContain(it.cli.local.token);
});

test("it is on this machine alone, refuses other names for it, and changes nothing", async () => {
  await using it = await dashboard();
  expect(it.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
  for (const path of ["", "events", "page.mjs"]) {
    const status = await new Promise((resolve) => {
      get(it.url + path, { headers: { host: "evil.example" } }, (response) => {
        resolve(response.statusCode);
        response.destroy();
      });
    });
    expect(status, path).toBe(421);
  }
  for (const method of ["POST", "PUT", "DELETE"]) expect((await fetch(it.url, { method })).status).toBe(405);
  expect((await fetch(`${it.url}v1/apps/my-edge/machines`)).status).toBe(404);
  const page = await fetch(it.url);
  expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
  expect(await page.text()).not.toContain(it.cli.local.token);
  await pictureOf(it.url, () => true);
  const methods = it.cli.local.fly.calls.list.map(({ method, path }) => `${method} ${path.split("/").at(-1)}`);
  expect([...new Set(methods)].filter((call) => !/^GET |^POST exec$/.test(call))).toEqual([]);
});

test("without a page open no PoP is asked; Ctrl-C ends it", async () => {
  await using it = await dashboard();
  const asked = it.cli.local.fly.calls.list.map(({ method, path }) => `${method} ${path}`);
  expect(asked).toEqual(["GET /v1/apps/my-edge/ip_assignments"]);
  const { code, err } = await it.end();
  expect({ code, err }).toEqual({ code: 130, err: "Press Ctrl-C to stop.\n" });
  await expect(fetch(it.url)).rejects.toThrow();
});

test("when Fly does not answer, the page says so, keeps what it had, and goes on", async () => {
  await using it = await dashboard();
  await pictureOf(it.url, ({ pops }) => pops.length > 0);
  it.cli.local.faults.next("GET machines", { kind: "status", status: 403, body: { error: "unauthorized" } });
  const { picture } = await pictureOf(it.url, ({ head }) => head.problem !== null);
  expect(picture.head.problem).toMatch(/^list machines of my-edge: .*403/);
  expect(picture.pops).toHaveLength(6);
  await pictureOf(it.url, ({ head }) => head.problem === null);
});

test("a token that Fly does not know is reported in the terminal", async () => {
  await using it = await cli();
  const { code, out, err } = await it.run(["dashboard", "--no-open"], {
    env: { ...it.env, FLY_API_TOKEN: "unknown-token" },
  });
  expect({ code, out }).toEqual({ code: 1, out: "" });
  expect(err).toContain("Fly does not know the token");
});
