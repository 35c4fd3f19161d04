import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { brokenInputs, brokenInputsPath } from "../../../../tools/docs/broken-inputs.ts";

test("docs/broken-inputs.md names the cases the tests try, sixty at least", () => {
  const page = readFileSync(brokenInputsPath, "utf8");
  expect(page, "docs/broken-inputs.md is not current: npm run docs").toBe(brokenInputs());
  expect(Number(/^(\d+) inputs/m.exec(page)?.[1])).toBeGreaterThanOrEqual(60);
});
