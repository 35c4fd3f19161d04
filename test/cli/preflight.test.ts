import { expect, test } from "vitest";
import { preflightBench, token } from "../support/preflight.ts";

test("on local Fly as it is everything holds but the cookie it does not set, and nothing is left behind", async () => {
  using bench = await preflightBench();
  const { code, report, err } = await bench.run();
  expect(report?.findings.filter(({ verdict }) => verdict !== "holds").map(({ id }) => id)).toEqual([
    "affinity-cookie",
  ]);
  expect(code).toBe(3);
  expect(bench.apps()).toEqual([]);
  expect(err).not.toContain(token);
});
