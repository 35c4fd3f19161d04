import fc from "fast-check";
import { expect, test } from "vitest";
import { choose, type Load } from "../../../../local/edge/choose.ts";
import type { Backend } from "../../../../local/edge/routes.ts";

const backend = (machineId: string, region: string, limits: { soft?: number; hard?: number } = {}): Backend => ({
  machineId,
  region,
  dial: { host: "127.0.0.1", port: 1 },
  handlers: [],
  proxyProtocol: undefined,
  softLimit: limits.soft ?? 20,
  hardLimit: limits.hard ?? Number.POSITIVE_INFINITY,
});

const loads =
  (table: Record<string, Partial<Load>> = {}) =>
  (id: string): Load => ({ open: 0, lastUsed: 0, ...table[id] });

const ids = (list: Backend[]) => list.map(({ machineId }) => machineId);

test.each([
  ["cdg", ["cdg", "ams", "ewr", "nrt"]],
  ["ewr", ["ewr", "cdg", "ams", "nrt"]],
  ["fra", ["ams", "cdg", "ewr", "nrt"]],
  ["sin", ["nrt", "ams", "cdg", "ewr"]],
])("a client in %s gets the regions by distance", (client, regions) => {
  const fleet = ["nrt", "ewr", "ams", "cdg"].map((region) => backend(region, region));
  expect(ids(choose(fleet, loads(), client))).toEqual(regions);
});

test("within a region the smallest share of the soft limit goes first, not the smallest number", () => {
  const fleet = [backend("big", "cdg", { soft: 100 }), backend("small", "cdg", { soft: 10 })];
  expect(ids(choose(fleet, loads({ big: { open: 20 }, small: { open: 5 } }), "cdg"))).toEqual(["big", "small"]);
});

test("equally loaded machines take turns", () => {
  const fleet = [backend("a", "cdg"), backend("b", "cdg"), backend("c", "cdg")];
  expect(ids(choose(fleet, loads({ a: { lastUsed: 3 }, b: { lastUsed: 1 }, c: { lastUsed: 2 } }), "cdg"))).toEqual([
    "b",
    "c",
    "a",
  ]);
});

test("a busy near machine beats an idle far one until its hard limit", () => {
  const fleet = [backend("near", "cdg", { soft: 1, hard: 5 }), backend("far", "nrt")];
  expect(ids(choose(fleet, loads({ near: { open: 4 } }), "cdg"))).toEqual(["near", "far"]);
  expect(ids(choose(fleet, loads({ near: { open: 5 } }), "cdg"))).toEqual(["far"]);
});

test("unknown regions come last, together, in a stable order", () => {
  const fleet = [backend("y", "yyy"), backend("x", "xxx"), backend("k", "nrt")];
  expect(ids(choose(fleet, loads(), "cdg"))).toEqual(["k", "x", "y"]);
});

test("a client in an unknown region still gets the machines of that very region first", () => {
  expect(ids(choose([backend("k", "nrt"), backend("x", "xxx")], loads(), "xxx"))).toEqual(["x", "k"]);
});

test("a soft limit of 0 does not break the order", () => {
  const fleet = [backend("zero", "cdg", { soft: 0 }), backend("one", "cdg", { soft: 1 })];
  expect(ids(choose(fleet, loads({ zero: { open: 1 } }), "cdg"))).toEqual(["one", "zero"]);
});

test("the order of the input never matters, and nothing is lost but what is full", () => {
  const fleets = fc.uniqueArray(
    fc.record({
      id: fc.string({ minLength: 1, maxLength: 6 }),
      region: fc.constantFrom("cdg", "ams", "ewr", "nope"),
      soft: fc.integer({ min: 0, max: 5 }),
      hard: fc.integer({ min: 1, max: 6 }),
      open: fc.integer({ min: 0, max: 7 }),
      lastUsed: fc.integer({ min: 0, max: 9 }),
    }),
    { selector: ({ id }) => id },
  );
  fc.assert(
    fc.property(fleets, (rows) => {
      const fleet = rows.map(({ id, region, soft, hard }) => backend(id, region, { soft, hard }));
      const load = (id: string) => rows.find((row) => row.id === id) as Load;
      const chosen = ids(choose(fleet, load, "cdg"));
      expect(ids(choose(fleet.toReversed(), load, "cdg"))).toEqual(chosen);
      expect(chosen.toSorted()).toEqual(rows.flatMap(({ id, open, hard }) => (open < hard ? id : [])).toSorted());
    }),
  );
});
