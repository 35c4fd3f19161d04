import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { everyProbe, plan } from "../../cli/preflight/plan.ts";
import { cliReference, cliReferencePath } from "../../tools/docs/cli.ts";
import { flyReality, flyRealityPath } from "../../tools/docs/fly-reality.ts";

test("docs/cli.md is what tools/docs/cli.ts writes: else run `npm run docs`", () => {
  expect(readFileSync(cliReferencePath, "utf8")).toBe(cliReference());
});

test("docs/fly-reality.md is what tools/docs/fly-reality.ts writes: else run `npm run docs`", () => {
  expect(readFileSync(flyRealityPath, "utf8")).toBe(flyReality());
});

test("what rests on an assumption exists, and so does the test that plays the other case", () => {
  const root = join(import.meta.dirname, "..", "..");
  const missing = everyProbe(plan)
    .flatMap(({ assumptions }) => Object.entries(assumptions))
    .flatMap(([id, { restsOn, playedBy }]) => {
      const files = restsOn.filter((path) => !existsSync(join(root, path)));
      const [path = "", ...words] = playedBy?.split(": ") ?? [];
      const plays = playedBy === undefined || readFileSync(join(root, path), "utf8").includes(words.join(": "));
      return [...files.map((file) => `${id}: ${file}`), ...(plays ? [] : [`${id}: ${playedBy}`])];
    });
  expect(missing).toEqual([]);
});

test("no two assumptions have one id", () => {
  const ids = everyProbe(plan).flatMap(({ assumptions }) => Object.keys(assumptions));
  expect(ids.length).toBe(new Set(ids).size);
});
