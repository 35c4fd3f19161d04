import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { brokenOf, faultsPath, section, summary, titleOf, tryAll } from "../../../tools/docs/faults.ts";
import { type Operation, operations } from "../../support/faults/operations.ts";

/** Thousands of runs take their time, most of all beside other tests. */
const timeoutMs = 180_000;

/** Every case of these operations: all promises hold, and docs/faults.md says what came of it. Files share them, so that they run side by side. */
export function testOperations(these: (operation: Operation) => boolean): void {
  const page = readFileSync(faultsPath, "utf8");
  test.each(operations.filter(these).map((it) => [titleOf(it), it] as const))(
    "%s: whatever fails at whatever call, nothing is doubled or lost, and the next run converges",
    { timeout: timeoutMs },
    async (_, operation) => {
      const tried = await tryAll(operation);
      expect(tried.results.length).toBeGreaterThan(20);
      expect(brokenOf(tried)).toEqual([]);
      expect(page, "docs/faults.md is not current: npm run docs").toContain(section(tried));
      expect(page, "docs/faults.md is not current: npm run docs").toContain(summary(tried));
    },
  );
}
