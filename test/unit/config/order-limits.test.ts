/** What a fleet orders of Let's Encrypt in its first week. */
import { describe, expect, test } from "vitest";
import { orders, registered } from "../../../config/order-limits.ts";
import { parseConfig } from "../../../config/parse.ts";

const acme = { email: "ada@example.org", terms: "agreed" };
const origin = "https://web.tail.example:8443";
const named = (count: number, domain = "example.org") =>
  Array.from({ length: count }, (_, at) => ({ host: `n${at}.${domain}`, origin }));

function ordersOf(
  regions: Record<string, { replicas?: number }>,
  { sites = named(1), certificates = { acme } as object }: { sites?: object[]; certificates?: object } = {},
) {
  const { pops, image } = parseConfig({
    app: "my-edge",
    regions,
    sites,
    certificates,
    secretsFile: "./secrets.yaml",
  });
  return orders(pops.length, image);
}

describe("for the same names", () => {
  test.each([
    ["five regions", { ams: {}, cdg: {}, ewr: {}, nrt: {}, syd: {} }],
    ["a region with five replicas", { cdg: { replicas: 5 } }],
    ["two regions, five PoPs", { cdg: { replicas: 3 }, ewr: { replicas: 2 } }],
  ])("%s are within the limit", (_, regions) => {
    expect(ordersOf(regions)).toEqual({ certificates: 5, beyond: [] });
  });

  test.each([
    ["six regions", { ams: {}, cdg: {}, ewr: {}, nrt: {}, sin: {}, syd: {} }, "6 PoPs", "34 hours"],
    ["regions times replicas", { cdg: { replicas: 4 }, ewr: { replicas: 3 } }, "7 PoPs", "68 hours"],
    ["a large fleet", { cdg: { replicas: 8 }, ewr: { replicas: 7 } }, "15 PoPs", "14 days"],
  ])("%s are not, and the last one's wait is reported", (_, regions, pops, wait) => {
    const [only, ...others] = ordersOf(regions)?.beyond ?? [];
    expect(others).toEqual([]);
    expect(only).toMatch(
      new RegExp(
        `^${pops} order a certificate each for the same names, and Let's Encrypt gives 5 a week, then one every 34 hours`,
      ),
    );
    expect(only).toContain(`the last PoP has its own after ${wait}; until then a PoP in service shows self-signed`);
    expect(only).toContain("Have the PoPs share one (certificates.acme.share) or take certificates.vault");
  });

  const six = { cdg: { replicas: 6 } };
  test.each([
    ["the authority is another", { acme: { ...acme, directory: "https://ca.example.org/dir" } }],
    ["it is Let's Encrypt's for trials, whose limits are wide", { acme: { ...acme, directory: "staging" } }],
    ["another authority replaces it", { acme: { ...acme, fallback: ["https://acme.zerossl.com/v2/DV90"] } }],
  ])("nothing is said where %s", (_, certificates) => {
    expect(ordersOf(six, { certificates })).toEqual({ certificates: 6, beyond: [] });
  });

  test("PoPs that share one certificate order one", () => {
    expect(ordersOf(six, { certificates: { acme: { ...acme, share: "acmeShare" } } })).toEqual({
      certificates: 1,
      beyond: [],
    });
  });

  test.each([
    ["certificates are in a vault", { vault: { address: "https://vault.test" } }],
    ["all sites have theirs from the vault beside it", { acme, vault: { address: "https://vault.test" } }],
  ])("nothing is ordered where %s", (_, certificates) => {
    expect(ordersOf(six, { certificates })).toBeUndefined();
  });

  test("nothing is ordered without an authority", () => {
    const { pops, image } = parseConfig({ app: "my-edge", regions: six, sites: named(1) });
    expect(orders(pops.length, image)).toBeUndefined();
  });
});

describe("below one domain", () => {
  test("fifty are within the limit, and 51 are not", () => {
    expect(ordersOf({ cdg: { replicas: 5 } }, { sites: named(10) })).toEqual({ certificates: 50, beyond: [] });
    expect(ordersOf({ cdg: { replicas: 3 } }, { sites: named(17) })?.beyond).toEqual([
      expect.stringMatching(
        /^51 certificates below example\.org are ordered by 3 PoPs, and Let's Encrypt gives 50 a week below one domain/,
      ),
    ]);
  });

  test("with one PoP that orders, sharing does not help", () => {
    const certificates = { acme: { ...acme, share: "acmeShare" } };
    const [only] = ordersOf({ cdg: { replicas: 3 } }, { sites: named(51), certificates })?.beyond ?? [];
    expect(only).toMatch(/^51 certificates below example\.org are ordered by one PoP, and Let's Encrypt/);
    expect(only).toMatch(/Take certificates\.vault .*, or add sites a few a week\.$/);
    expect(only).not.toContain("share");
  });

  test("each domain counts for itself", () => {
    const sites = [
      ...named(9, "example.org"),
      ...named(9, "example.net"),
      ...named(9, "a.co.uk"),
      ...named(9, "b.co.uk"),
    ];
    expect(ordersOf({ cdg: { replicas: 5 } }, { sites })).toEqual({ certificates: 180, beyond: [] });
  });

  test.each([
    ["example.org", "example.org"],
    ["a.b.example.org", "example.org"],
    ["www.example.co.uk", "example.co.uk"],
    ["www.example.de", "example.de"],
    ["localhost", "localhost"],
  ])("%s is of %s", (name, domain) => {
    expect(registered(name)).toBe(domain);
  });
});
