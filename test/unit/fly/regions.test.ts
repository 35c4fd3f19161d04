import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { distanceKm, regionByCode, regions } from "../../../fly/regions.ts";

fc.configureGlobal({ seed: 20261124 });

const codes = (deprecated: boolean) => regions.filter((it) => it.deprecated === deprecated).map((it) => it.code);

describe("regions", () => {
  test("the current ones are Fly's 18 of 2026-08", () => {
    expect(codes(false).join(" ")).toBe("ams arn bom cdg dfw ewr fra gru iad jnb lax lhr nrt ord sin sjc syd yyz");
  });

  test("the ones Fly gave up in 2025-10 are still known, as deprecated", () => {
    expect(codes(true).join(" ")).toBe("atl bog bos den eze gdl gig hkg mad mia otp phx qro scl sea waw yul");
  });

  test("no code stands for two regions", () => {
    expect(new Set(regions.map((it) => it.code)).size).toBe(regions.length);
  });

  test.each(regions)(
    "$code ($city) is on the part of the globe that its geoRegion names",
    ({ latitude, longitude, geoRegion }) => {
      const box = {
        africa: { south: -35, north: 37, west: -18, east: 52 },
        asia_pacific: { south: -48, north: 55, west: 60, east: 180 },
        europe: { south: 36, north: 71, west: -11, east: 40 },
        north_america: { south: 14, north: 72, west: -170, east: -52 },
        south_america: { south: -56, north: 13, west: -82, east: -34 },
      }[geoRegion];
      expect(latitude).toBeGreaterThan(box.south);
      expect(latitude).toBeLessThan(box.north);
      expect(longitude).toBeGreaterThan(box.west);
      expect(longitude).toBeLessThan(box.east);
    },
  );

  test("only Africa and India pay the highest egress price", () => {
    expect(regions.filter((it) => it.egressGroup === "africa_india").map((it) => it.code)).toEqual(["bom", "jnb"]);
  });

  test("a code is found, another is not", () => {
    expect(regionByCode("cdg")).toMatchObject({ city: "Paris", country: "FR", gateway: true, deprecated: false });
    expect(regionByCode("cgd")).toBeUndefined();
    expect(regionByCode("CDG")).toBeUndefined();
    expect(regionByCode("constructor")).toBeUndefined();
  });
});

describe("distanceKm", () => {
  // Great-circle distances between the cities, from public tables; our coordinates are rounded to 1 km.
  test.each([
    ["cdg", "lhr", 344],
    ["ewr", "lax", 3936],
    ["syd", "nrt", 7820],
    ["gru", "jnb", 7440],
  ])("%s to %s is about %d km, both ways", (from, to, km) => {
    expect(Math.abs(distanceKm(from, to) - km)).toBeLessThan(km * 0.02);
    expect(distanceKm(to, from)).toBeCloseTo(distanceKm(from, to), 6);
  });

  test("to itself it is 0, to an unknown region infinite", () => {
    expect(distanceKm("cdg", "cdg")).toBe(0);
    expect(distanceKm("cdg", "xxx")).toBe(Number.POSITIVE_INFINITY);
    expect(distanceKm("xxx", "cdg")).toBe(Number.POSITIVE_INFINITY);
  });

  test("a detour is never shorter", () => {
    const code = fc.constantFrom(...regions.map((it) => it.code));
    fc.assert(
      fc.property(code, code, code, (a, b, c) => distanceKm(a, c) <= distanceKm(a, b) + distanceKm(b, c) + 1e-6),
    );
  });
});
