import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import {
  bytesInWords,
  type ImageRow,
  imagesOf,
  knownRegistries,
  rememberRegistry,
  sizeOf,
} from "../../../local/docker/caches.ts";
import { paths } from "../../../local/paths.ts";
import { movePaths } from "../../support/local-paths.ts";

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [512_000, "512 kB"],
  [22_400_000, "22 MB"],
  [3_440_000_000, "3.4 GB"],
  [17_940_000_000, "18 GB"],
])("%d bytes are %s", (bytes, words) => {
  expect(bytesInWords(bytes)).toBe(words);
});

test("the size of a directory is that of all its files, with names that begin with a dot, and of nothing that links lead to", () => {
  const dir = mkdtempSync(join(tmpdir(), "fly-pops-size-"));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  mkdirSync(join(dir, ".bin", "deep"), { recursive: true });
  for (const [name, bytes] of [
    ["a", 1],
    [".record.json", 20],
    [".bin/b", 300],
    [".bin/deep/.c", 4000],
  ] as const)
    writeFileSync(join(dir, name), Buffer.alloc(bytes));
  symlinkSync("a", join(dir, "link"));
  symlinkSync("..", join(dir, ".bin", "up"));
  expect(sizeOf(dir)).toBe(4321);
  expect(sizeOf(join(dir, "a"))).toBe(1);
  expect(sizeOf(join(dir, "none"))).toBe(0);
});

test("images count that were built here, or for this stack's registry", () => {
  const image = (Id: string, over: Partial<ImageRow> = {}): ImageRow => ({ Id, RepoTags: [], Labels: {}, ...over });
  const images = [
    image("built", { Labels: { "fly-pops.inputs": "1" } }),
    image("base", { RepoTags: ["debian:trixie-slim"], Labels: { "fly-pops.ca": "none" } }),
    image("pop", { RepoTags: ["127.0.0.1:5055/fly-pops-local:pop-1"] }),
    image("pop without a tag", {
      RepoTags: ["<none>:<none>"],
      RepoDigests: ["127.0.0.1:5055/fly-pops-local@sha256:1"],
    }),
    image("another stack's pop", { RepoTags: ["127.0.0.1:50550/fly-pops-local:pop-1"] }),
    image("untagged", { RepoTags: [], RepoDigests: [] }),
  ];
  const ids = (...registries: string[]) => imagesOf(images, registries).map(({ Id }) => Id);
  expect(ids("127.0.0.1:5055")).toEqual(["built", "pop", "pop without a tag"]);
  expect(ids("127.0.0.1:4999", "127.0.0.1:50550")).toEqual(["built", "another stack's pop"]);
  expect(ids()).toEqual(["built"]);
});

test("registries are known from all starts, and outlive `down`, as the images do", () => {
  expect(relative(paths.root, paths.registries)).toMatch(/^\.\./);
  const dir = mkdtempSync(join(tmpdir(), "fly-pops-registries-"));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  onTestFinished(movePaths({ registries: join(dir, "registries") }));
  expect(knownRegistries()).toEqual([]);
  for (const port of [5055, 5056, 5055]) rememberRegistry(`127.0.0.1:${port}`);
  expect(knownRegistries()).toEqual(["127.0.0.1:5055", "127.0.0.1:5056"]);
});
