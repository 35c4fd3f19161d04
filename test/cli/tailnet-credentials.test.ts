/** Whether a new PoP would get its auth key: said by `doctor`, and asked by `replace` before the old PoP is gone. */
import { expect, test } from "vitest";
import type { Finding } from "../../cli/doctor/finding.ts";
import { type Cli, cli, values } from "../support/cli.ts";
import { planted, type Scene, tailscaleApi } from "../support/tailscale-api.ts";

const tailnet = { domain: "tail1.ts.net", controlPlane: "tailscale", tags: ["pop"] };

async function scene(of?: Scene) {
  const api = await tailscaleApi(of);
  const it = await cli();
  it.config(values({ tailnet }));
  await it.deploy();
  const env = (more: Record<string, string>) => ({ env: { ...it.env, TAILSCALE_BASE_URL: api.url, ...more } });
  return {
    api,
    it,
    env,
    async finding(more: Record<string, string>) {
      const { out, err } = await it.run(["doctor", "--json"], env(more));
      expect(out + err).not.toContain(planted.apiKey);
      return (JSON.parse(out) as Finding[]).find(({ name }) => name === "tailnet");
    },
    [Symbol.asyncDispose]: () => it[Symbol.asyncDispose](),
  };
}

const ids = (it: Cli) => it.local.machines().map(({ id, state }) => [id, state]);

test("credentials that are taken: doctor says so, and makes no key", async () => {
  await using at = await scene();
  at.api.joined("n1", "pop-cdg-1");
  expect(await at.finding({ TAILSCALE_API_KEY: planted.apiKey })).toEqual({
    name: "tailnet",
    status: "ok",
    detail: "the credentials are taken; nodes in the tailnet: 1",
  });
  expect(at.api.asked()).toEqual(["GET /api/v2/tailnet/-/devices"]);
});

test("credentials that may not see devices are good for keys all the same", async () => {
  await using at = await scene({ scopes: ["auth_keys"] });
  const client = { TAILSCALE_OAUTH_CLIENT_ID: "client1", TAILSCALE_OAUTH_CLIENT_SECRET: planted.clientSecret };
  expect(await at.finding(client)).toMatchObject({
    status: "ok",
    detail: expect.stringContaining("may not see devices"),
  });
});

test.each([
  ["none", {}, /No credentials for http.*TAILSCALE_OAUTH_CLIENT_ID/],
  ["refused", { TAILSCALE_API_KEY: "tskey-api-wrong" }, /401/],
  ["no URL", { TAILSCALE_BASE_URL: "nowhere", TAILSCALE_API_KEY: planted.apiKey }, /must be an http or https URL/],
] as const)("credentials: %s. doctor says what to do, and replace leaves the PoP as it is", async (_, more, reason) => {
  await using at = await scene();
  expect(await at.finding(more)).toMatchObject({ status: "failed", fix: expect.stringMatching(reason) });
  const before = ids(at.it);
  const { code, err, calls } = await at.it.run(["replace", "cdg-1", "--yes"], at.env(more));
  expect(code).toBe(1);
  expect(err).toMatch(/^cdg-1: not replaced, because a prerequisite of the new PoP fails\. tailnet: /m);
  expect(err).toMatch(reason);
  expect(err.match(/Nothing was changed\./g)).toHaveLength(1);
  expect(calls.filter((call) => !call.startsWith("GET "))).toEqual([]);
  expect(ids(at.it)).toEqual(before);
});

test("a stack without driver has no such check", async () => {
  await using it = await cli();
  const { out } = await it.run(["doctor", "--json"]);
  expect((JSON.parse(out) as Finding[]).map(({ name }) => name)).not.toContain("tailnet");
});
