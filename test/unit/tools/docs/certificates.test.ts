import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { certificatesPage, certificatesPath } from "../../../../tools/docs/certificates.ts";

test("docs/certificates.md is what tools/docs/certificates.ts writes: else run `npm run docs`", () => {
  const page = readFileSync(certificatesPath, "utf8");
  expect(page).toBe(certificatesPage());
  // Names and values of the tests are not an operator's.
  expect(page).not.toMatch(/\.test\b|127\.0\.0\.1|planted/);
});
