import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { rolloutOrder, unavailableLimits } from "../../../components/rollout.ts";

const pop = (name: string) => ({ name, region: name.slice(0, 3) });
const fleet = (...names: string[]) => names.map(pop);
const names = (pops: { name: string }[]) => pops.map(({ name }) => name);

describe("order", () => {
  test("the canary, then the regions in turn", () => {
    const pops = fleet("ams-1", "ams-2", "ams-3", "cdg-1", "cdg-2", "ewr-1");
    expect(names(rolloutOrder(pops, "cdg-2"))).toEqual(["cdg-2", "ams-1", "cdg-1", "ewr-1", "ams-2", "ams-3"]);
  });

  test("without a canary the regions take turns at once", () => {
    expect(names(rolloutOrder(fleet("ams-1", "ams-2", "cdg-1"), undefined))).toEqual(["ams-1", "cdg-1", "ams-2"]);
  });
});

describe("widths", () => {
  test.each([
    [fleet("cdg-1"), "cdg", 1, 1, 1],
    [fleet("cdg-1", "ewr-1"), "cdg", 9, 1, 1],
    [fleet("cdg-1", "cdg-2", "ewr-1"), "cdg", 9, 2, 1],
    [fleet("cdg-1", "cdg-2", "cdg-3", "cdg-4", "ewr-1"), "cdg", 3, 3, 2],
    [fleet("cdg-1", "cdg-2", "cdg-3", "ewr-1"), "cdg", 3, 3, 1],
  ])("%#", (pops, region, wish, maxUnavailable, maxUnavailableInRegion) => {
    expect(unavailableLimits(pops, region, wish)).toEqual({ maxUnavailable, maxUnavailableInRegion });
  });

  test("whatever the fleet and the limits, a PoP serves, and so does one in every region with several", () => {
    const region = fc.constantFrom("ams", "cdg", "ewr");
    fc.assert(
      fc.property(
        fc.array(region, { minLength: 2, maxLength: 40 }),
        fc.integer({ min: 1, max: 99 }),
        (regions, wish) => {
          const pops = regions.map((it, index) => ({ name: `${it}-${index}`, region: it }));
          for (const it of new Set(regions)) {
            const { maxUnavailable, maxUnavailableInRegion } = unavailableLimits(pops, it, wish);
            const here = regions.filter((other) => other === it).length;
            expect(maxUnavailable).toBeLessThan(pops.length);
            if (here > 1) expect(maxUnavailableInRegion * 2).toBeLessThanOrEqual(here);
          }
        },
      ),
    );
  });
});
