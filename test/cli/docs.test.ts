import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { cliReference, cliReferencePath } from "../../docs/cli.ts";

test("docs/cli.md is what docs/cli.ts writes: else run `npm run docs`", () => {
  expect(readFileSync(cliReferencePath, "utf8")).toBe(cliReference());
});
