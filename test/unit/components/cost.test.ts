import { describe, expect, test } from "vitest";
import { costKinds, estimate } from "../../../components/cost.ts";
import { flyPrices } from "../../../components/prices.ts";
import { parseConfig } from "../../../config/parse.ts";
import type { EdgeConfig } from "../../../config/types.ts";
import { presets } from "../../../fly/guests.ts";
import { regions } from "../../../fly/regions.ts";

const secondsPerMonth = 2_592_000;

/** The page's other column: dollars a second in the base region, by size, for its amounts of memory in order. */
const perSecond: Record<string, number[]> = {
  "shared-cpu-1x": [0.00000075, 0.00000123, 0.0000022, 0.00000413],
  "shared-cpu-2x": [0.0000015, 0.00000246, 0.0000044, 0.00000826],
  "shared-cpu-4x": [0.000003, 0.00000493, 0.00000879, 0.00001651],
  "shared-cpu-8x": [0.000006, 0.00000986, 0.00001758, 0.00003302],
  "performance-1x": [0.00001196, 0.00001582, 0.00002354],
  "performance-2x": [0.00002392, 0.00003164, 0.00004708],
  "performance-4x": [0.00004784, 0.00006328, 0.00009416],
  "performance-8x": [0.00009568, 0.00012656, 0.00018832],
  "performance-16x": [0.00019136, 0.00025312, 0.00037664],
};

const billed = (file: Record<string, unknown>): EdgeConfig =>
  parseConfig({ app: "a", sites: [{ host: "www.example.org", files: "site" }], ...file });

/** One PoP without volume's, address's and visitors' share. */
const machine = (region: string, size: string, memoryMb?: number) =>
  estimate(billed({ regions: { [region]: { size, ...(memoryMb && { memoryMb }) } } })).monthly.machines;

describe("the price list", () => {
  test("has the sizes and amounts of the published table", () => {
    expect(
      Object.fromEntries(
        Object.entries(flyPrices.machines).map(([size, listed]) => [size, Object.keys(listed).length]),
      ),
    ).toEqual(Object.fromEntries(Object.entries(perSecond).map(([size, rows]) => [size, rows.length])));
  });

  test.each(
    Object.entries(flyPrices.machines).flatMap(([size, listed]) =>
      Object.entries(listed).map(([mb, month], index) => ({
        size,
        mb: Number(mb),
        month,
        second: perSecond[size]?.[index],
      })),
    ),
  )(
    "$size with $mb MB: the month's price is the second's, and what the estimate says",
    ({ size, mb, month, second }) => {
      // Eight decimals a second are 1.3 cents a month to either side, two a month are half a cent.
      expect(Math.abs((second ?? 0) * secondsPerMonth - month)).toBeLessThan(0.018);
      expect(machine("iad", size, mb)).toBe(month);
    },
  );

  test("has a factor for every region that takes machines", () => {
    const current = regions.filter((it) => !it.deprecated).map((it) => it.code);
    expect(Object.keys(flyPrices.regionFactor).toSorted()).toEqual(current.toSorted());
  });

  test("its factors give the page's prices in other regions, to a cent", () => {
    expect(machine("ewr", "shared-cpu-1x")).toBe(1.94);
    expect(Math.abs(machine("ams", "shared-cpu-1x") - 2.02)).toBeLessThan(0.0101);
  });

  test("says where it is from, and of when", () => {
    expect(flyPrices.source).toBe("https://fly.io/docs/about/pricing/");
    expect(flyPrices.date).toMatch(/^20\d\d-\d\d-\d\d$/);
  });
});

describe("five stacks, calculated by hand", () => {
  test("one small PoP in Amsterdam, IPv6 only, no visitors", () => {
    // 1.94 * 1.038461538 = 2.0146; 3 * 0.15 = 0.45
    expect(estimate(billed({ regions: { ams: {} }, addresses: ["v6"], egressGb: 0 })).monthly).toEqual({
      machines: 2.01,
      volumes: 0.45,
      snapshots: 0,
      addresses: 0,
      egress: 0,
      total: 2.46,
    });
  });

  test("the README's: one in Paris, two larger ones in New Jersey", () => {
    // 1.94 * 1.134615385 + 2 * 3.19 = 2.20115 + 6.38; 9 * 0.15; 2; 300 * 0.02
    const file = { regions: { cdg: {}, ewr: { replicas: 2, memoryMb: 512 } } };
    expect(estimate(billed(file)).monthly).toEqual({
      machines: 8.58,
      volumes: 1.35,
      snapshots: 0,
      addresses: 2,
      egress: 6,
      total: 17.93,
    });
  });

  test("four continents: egress by each region's group", () => {
    // 5.70 * (1.134615385 + 1.307692308 + 1.302884615 + 1.615384615) = 30.555; 4 * 10 * 0.15; 2; 50 * (0.02 + 0.04 + 0.12 + 0.04)
    const file = {
      defaults: { memoryMb: 1024, volumeGb: 10 },
      regions: { cdg: {}, nrt: {}, jnb: {}, gru: {} },
      egressGb: 50,
    };
    expect(estimate(billed(file)).monthly).toEqual({
      machines: 30.56,
      volumes: 6,
      snapshots: 0,
      addresses: 2,
      egress: 11,
      total: 49.56,
    });
  });

  test("memory between the listed amounts is paid by the GB", () => {
    // (3.19 + 0.25 * 5) * 1.153846154 = 5.1231; 0.45; 2; 2
    expect(estimate(billed({ regions: { fra: { memoryMb: 768 } } })).monthly).toEqual({
      machines: 5.12,
      volumes: 0.45,
      snapshots: 0,
      addresses: 2,
      egress: 2,
      total: 9.57,
    });
  });

  test("dedicated CPUs in Mumbai and Sydney with large volumes", () => {
    // 82.01 * 1.076923077 + 31 * 1.269230769 = 88.31846 + 39.34615; 600 * 0.15; 2; 1000 * (0.12 + 0.04)
    const file = {
      regions: {
        bom: { size: "performance-2x", memoryMb: 8192, volumeGb: 500 },
        syd: { size: "performance-1x", volumeGb: 100 },
      },
      egressGb: 1000,
    };
    expect(estimate(billed(file)).monthly).toEqual({
      machines: 127.66,
      volumes: 90,
      snapshots: 0,
      addresses: 2,
      egress: 160,
      total: 379.66,
    });
  });
});

describe("an estimate", () => {
  test("adds up: every row belongs to a kind, and the kinds make the total", () => {
    const { monthly, rows } = estimate(billed({ regions: { cdg: { replicas: 100 }, gru: { replicas: 7 } } }));
    for (const kind of costKinds)
      expect(rows.filter((it) => it.kind === kind).reduce((sum, it) => sum + it.monthly, 0)).toBeCloseTo(
        monthly[kind],
        2,
      );
    const { total, ...kinds } = monthly;
    expect(Object.values(kinds).reduce((sum, it) => sum + it, 0)).toBeCloseTo(total, 8);
  });

  test("names what it assumes", () => {
    const { assumptions } = estimate(billed({ regions: { cdg: {} }, egressGb: 7 }));
    expect(assumptions[0]).toBe(
      "Each PoP runs the whole month and sends 7 GB to visitors (fly-pops:egressGb); what comes in, from your origin too, is free.",
    );
    expect(assumptions.at(-1)).toBe(
      "List prices of https://fly.io/docs/about/pricing/ as of 2026-08-09, a month of 30 days.",
    );
    expect(assumptions).toHaveLength(7);
  });

  test("of visitors: where they are said to be is what counts, not where the PoPs stand", () => {
    const file = { regions: { cdg: {}, fra: {} }, egressGb: 500 };
    const near = estimate(billed(file));
    expect(near.monthly.egress).toBe(20);
    expect(near.assumptions.join()).toContain("taken to be in the same part of the world as the PoP");
    // 1000 GB: 100 to India at 0.12, 300 to Asia at 0.04, 600 to Europe at 0.02.
    const said = estimate(billed({ ...file, egress: { india: 10, asia: 30, eu: 60, sa: 0 }, crawlers: 25 }));
    expect(said.monthly.egress).toBe(36);
    expect(said.rows.filter(({ kind }) => kind === "egress").map(({ what }) => what)).toEqual([
      "300 GB to asia",
      "600 GB to eu",
      "100 GB to india",
    ]);
    expect(said.crawlers).toBe(9);
    expect(said.assumptions.join()).toContain("30 % to asia, 60 % to eu, 10 % to india (fly-pops:egress)");
    expect(said.assumptions.join()).toContain(
      "25 % of egress is taken to be theirs (fly-pops:crawlers), 9.00 USD of it",
    );
  });

  test("of snapshots: none by default, else what they hold at most beyond 10 GB, and what is taken for granted", () => {
    const file = { regions: { cdg: { volumeGb: 50 }, ewr: {}, nrt: {} } };
    const none = estimate(billed(file));
    expect(none.monthly.snapshots).toBe(0);
    expect(none.assumptions).toContain("No snapshots of the volumes are taken (fly-pops:snapshots).");
    // (50 + 3 + 3) * 5 days = 280 GB, 10 of them free, at 0.08.
    const kept = estimate(billed({ ...file, snapshots: 5 }));
    expect(kept.monthly.snapshots).toBe(21.6);
    expect(kept.monthly.total).toBeCloseTo(none.monthly.total + 21.6, 8);
    expect(kept.rows).toContainEqual(expect.objectContaining({ kind: "snapshots", what: "up to 280 GB" }));
    expect(kept.assumptions.join()).toContain("10 GB are free in an organization");
    expect(estimate(billed({ regions: { cdg: {} }, snapshots: 3 })).monthly.snapshots).toBe(0);
  });

  test("takes a size without a published price by its CPUs, and says so once", () => {
    const { monthly, assumptions } = estimate(
      billed({ regions: { iad: { size: "shared-cpu-6x" }, ewr: { size: "shared-cpu-6x" } } }),
    );
    expect(monthly.machines).toBe(2 * 11.67);
    expect(assumptions).toContain(
      "shared-cpu-6x has no published price: taken as 6/4 of shared-cpu-4x with as much memory a CPU.",
    );
    expect(assumptions).toHaveLength(8);
  });

  test.each(Object.keys(presets))("%s has a price at its least memory", (size) => {
    expect(machine("iad", size)).toBeGreaterThan(1.9);
  });

  test("a region without a factor goes at the base price, said aloud", () => {
    const { regionFactor: _, ...rest } = flyPrices;
    const { monthly, assumptions } = estimate(billed({ regions: { cdg: {} } }), { ...rest, regionFactor: {} });
    expect(monthly.machines).toBe(1.94);
    expect(assumptions).toContain("Machines in cdg have no published factor: taken at the base price.");
  });
});
