import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cpuCounts, guestProblem, memoryRange, nearestMemory, presets } from "../../../fly/guests.ts";

fc.configureGlobal({ seed: 20261124 });

describe("presets", () => {
  test("are Fly's names, smallest first", () => {
    expect(Object.keys(presets)).toEqual([
      ...[1, 2, 4, 6, 8].map((cpus) => `shared-cpu-${cpus}x`),
      ...[1, 2, 4, 6, 8, 10, 12, 14, 16].map((cpus) => `performance-${cpus}x`),
    ]);
    expect(presets["shared-cpu-6x"]).toEqual({ cpuKind: "shared", cpus: 6 });
    expect(presets["performance-16x"]).toEqual({ cpuKind: "performance", cpus: 16 });
  });
});

describe("memory", () => {
  // Rows of Fly's price page.
  test.each([
    ["shared", 1, 256, 2048],
    ["shared", 2, 512, 4096],
    ["shared", 8, 2048, 16_384],
    ["performance", 1, 2048, 8192],
    ["performance", 2, 4096, 16_384],
    ["performance", 16, 32_768, 131_072],
  ] as const)("%s %d takes %d to %d MB", (cpuKind, cpus, minMb, maxMb) => {
    expect(memoryRange(cpuKind, cpus)).toEqual({ minMb, maxMb, stepMb: cpuKind === "shared" ? 256 : 1024 });
    for (const memoryMb of [minMb, maxMb]) expect(guestProblem({ cpuKind, cpus, memoryMb })).toBeUndefined();
    for (const memoryMb of [minMb - 256, maxMb + 1024, minMb + 1])
      expect(guestProblem({ cpuKind, cpus, memoryMb })).toMatch(`takes ${minMb} to ${maxMb} MB in steps of`);
  });

  test.each([
    [{ cpuKind: "shared", cpus: 1, memoryMb: 300 }, "takes 256 to 2048 MB in steps of 256"],
    [{ cpuKind: "performance", cpus: 1, memoryMb: 2304 }, "takes 2048 to 8192 MB in steps of 1024"],
    [{ cpuKind: "shared", cpus: 3, memoryMb: 768 }, "has 1, 2, 4, 6 or 8 CPUs"],
    [{ cpuKind: "shared", cpus: 16, memoryMb: 4096 }, "has 1, 2, 4, 6 or 8 CPUs"],
    [{ cpuKind: "shared", cpus: 1, memoryMb: 0 }, "takes 256 to 2048 MB in steps of 256"],
    [{ cpuKind: "shared", cpus: 1, memoryMb: Number.NaN }, "takes 256 to 2048 MB in steps of 256"],
  ] as const)("%j %s", (guest, problem) => {
    expect(guestProblem(guest)).toBe(problem);
  });

  test.each([
    [300, [256, 512]],
    [512, [512]],
    [0, [256]],
    [9999, [2048]],
  ])("next to %d MB shared-cpu-1x takes %j", (memoryMb, expected) => {
    expect(nearestMemory("shared", 1, memoryMb)).toEqual(expected);
  });

  test("what is suggested is always taken, and nothing between two suggestions is", () => {
    const guest = fc
      .constantFrom(...(["shared", "performance"] as const))
      .chain((cpuKind) => fc.record({ cpuKind: fc.constant(cpuKind), cpus: fc.constantFrom(...cpuCounts[cpuKind]) }));
    fc.assert(
      fc.property(guest, fc.integer({ min: -5000, max: 2_000_000 }), ({ cpuKind, cpus }, memoryMb) => {
        const suggested = nearestMemory(cpuKind, cpus, memoryMb);
        for (const it of suggested) expect(guestProblem({ cpuKind, cpus, memoryMb: it })).toBeUndefined();
        if (guestProblem({ cpuKind, cpus, memoryMb }) === undefined) expect(suggested).toEqual([memoryMb]);
        const [low = 0, high = low] = suggested;
        expect([0, memoryRange(cpuKind, cpus).stepMb]).toContain(high - low);
      }),
    );
  });
});
