import { expect, test } from "vitest";
import { preflightBench, token } from "../support/preflight.ts";

test("on local Fly as it is everything holds, and nothing is left behind", async () => {
  using bench = await preflightBench();
  const { code, report, err } = await bench.run();
  expect(report.findings.filter(({ verdict }) => verdict !== "holds")).toEqual([]);
  expect(code).toBe(0);
  expect(bench.apps()).toEqual([]);
  expect(err).not.toContain(token);
});
