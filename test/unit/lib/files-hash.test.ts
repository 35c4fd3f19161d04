import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { filesHash } from "../../../lib/files-hash.ts";

function dirWith(files: Record<string, string>): string {
  const dir = mkdtempSync(join(tmpdir(), "fly-pops-hash-"));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  return dir;
}

test("the same files have the same hash, wherever they are and in whatever order", async () => {
  const files = { a: "1", b: "2" };
  const hash = await filesHash(dirWith(files), ["a", "b"]);
  expect(hash).toMatch(/^[0-9a-f]{16}$/);
  expect(await filesHash(dirWith(files), ["b", "a"])).toBe(hash);
});

test.each([
  ["content", { a: "1", b: "3" }, undefined],
  ["names", { a: "1", c: "2" }, undefined],
  ["an end that is the next one's beginning", { a: "1b", b: "2" }, undefined],
  ["fewer of them", { a: "1" }, undefined],
  ["what else counts", { a: "1", b: "2" }, "target"],
])("another hash: %s", async (_, files, more) => {
  const hash = await filesHash(dirWith({ a: "1", b: "2" }), ["a", "b"]);
  expect(await filesHash(dirWith(files), Object.keys(files), more)).not.toBe(hash);
});
