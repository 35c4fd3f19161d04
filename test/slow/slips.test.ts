/** Slips of an operator, one after the other on one production stack: nothing that serves is lost. docs/slips.md has the same. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { slipsPage, slipsPath } from "../../tools/docs/slips.ts";
import { fleet, slips, trySlip } from "../support/slips.ts";

let at: Awaited<ReturnType<typeof fleet>>;
beforeAll(async () => {
  at = await fleet();
});
afterAll(() => at[Symbol.asyncDispose]());

test.each(slips.map((slip) => ({ name: slip.slip, slip })))("$name", async ({ slip }) => {
  const { broken } = await trySlip(at, slip);
  expect(broken).toEqual([]);
});

test("docs/slips.md tells of these", () => {
  expect(slips.length).toBeGreaterThanOrEqual(25);
  expect(readFileSync(slipsPath, "utf8")).toBe(slipsPage());
});
