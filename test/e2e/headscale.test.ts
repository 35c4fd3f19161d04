/** The driver of headscale against the real one. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../providers/clock.ts";
import { createHeadscale } from "../../providers/tailnet/headscale.ts";
import { type Headscale, startHeadscale } from "../support/headscale.ts";

const asked = { tags: ["pop"], expirySeconds: 3600, description: "fly-pops cdg-1" };

describe("headscale", () => {
  let headscale: Headscale;
  beforeAll(async () => {
    headscale = await startHeadscale();
    // A tag belongs to somebody, or no key may carry it.
    await headscale.cli("users", "create", "operator");
  });
  afterAll(() => headscale?.[Symbol.asyncDispose]());

  const driver = (apiKey = headscale.apiKey) =>
    createHeadscale({ server: headscale.url, apiKey }, { clock: systemClock });
  const message = (work: Promise<unknown>) =>
    work.then(
      () => "it succeeded",
      (error: Error) => error.message,
    );
  const keys = async () =>
    JSON.parse((await headscale.cli("preauthkeys", "list", "-o", "json")) || "[]") as {
      id: string | number;
      reusable?: boolean;
      ephemeral?: boolean;
      acl_tags?: string[];
      expiration?: unknown;
    }[];

  test("a key is single-use, not ephemeral, tagged, of an hour, and belongs to no user", async () => {
    const { id, key, expires } = await driver().mint(asked);
    expect(key).toMatch(/^hskey-auth-/);
    expect(Math.abs(Date.parse(expires) - Date.now() - 3_600_000)).toBeLessThan(60_000);
    const found = (await keys()).find((it) => String(it.id) === id);
    expect(found?.acl_tags).toEqual(["tag:pop"]);
    expect([found?.reusable ?? false, found?.ephemeral ?? false]).toEqual([false, false]);
  });

  test("a revoked key is of no use, and a second time it is gone, which is as good", async () => {
    const { id } = await driver().mint(asked);
    await driver().revoke(id);
    await driver().revoke(id);
    await driver().revoke("987654");
  });

  test("a tailnet without nodes has none, and removing one that is gone is done", async () => {
    expect(await driver().devices()).toEqual([]);
    await driver().removeDevice("987654");
  });

  test("a wrong API key is told as such, and not shown", async () => {
    const told = await message(driver("hskey-api-planted-wrong").mint(asked));
    expect(told).toMatch(/^make an auth key: .*\(401, http:\/\/127\.0\.0\.1:\d+\)$/);
    expect(told).not.toContain("planted");
  });
});
