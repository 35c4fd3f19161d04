import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { subnets as pool } from "../../local/docker/engine.ts";

const root = join(import.meta.dirname, "..", "..");
const sources = globSync(["test/{image,e2e,slow,soak}/**/*.ts", "bench/**/*.ts"], { cwd: root }).map((file) => ({
  file,
  text: readFileSync(join(root, file), "utf8"),
}));

/** What is there twice, with the files that have it. */
const twice = (found: readonly { file: string; it: string }[]) =>
  [...Map.groupBy(found, ({ it }) => it)]
    .map(([it, all]) => ({ it, files: all.map(({ file }) => file) }))
    .filter(({ files }) => files.length > 1);

const fixed = sources.flatMap(({ file, text }) =>
  [...text.matchAll(/subnet6?: "([^"$]+)"/g)].map(([, it = ""]) => ({ file, it })),
);

/** Test files run side by side, and Docker makes no network on addresses of another one. */
test("each test file has a network of its own", () => {
  expect(fixed.length).toBeGreaterThan(10);
  expect(twice(fixed)).toEqual([]);
  expect(fixed.filter(({ it }) => !/^172\.31\.\d+\.0\/24$|^fdaa:0:[0-9a-f]+::\/64$/.test(it))).toEqual([]);
});

test("no local Fly takes a network of a test for its own", () => {
  expect(pool).toHaveLength(64);
  expect(fixed.filter(({ it }) => pool.includes(it))).toEqual([]);
});

test("each test file has ports of its own", () => {
  const ports = sources.flatMap(({ file, text }) =>
    [...text.matchAll(/\b25_?\d{3}\b/g)].map(([it]) => ({ file, it: it.replace("_", "") })),
  );
  expect(ports.length).toBeGreaterThan(20);
  expect(twice(ports)).toEqual([]);
});
