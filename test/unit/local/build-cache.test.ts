import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type CacheRecord, childrenFirst, commandsOf, recordsOf } from "../../../local/docker/build-cache.ts";

test("a Dockerfile's commands are as BuildKit tells them: joined, without mounts and comments", () => {
  const text = [
    "FROM base AS go",
    "RUN update-package-lists",
    "RUN --mount=type=cache,id=pops-gomod,target=/root/go/pkg/mod --mount=type=cache,id=b,target=/c \\",
    "    program /out a \\",
    "    # not part of it",
    " && settle",
    "COPY x y",
  ].join("\n");
  expect(commandsOf(text)).toEqual(["update-package-lists", "program /out a  && settle"]);
});

test.each(["image", "local/anycast", "local/homelab", "local/internet", "local/registry", "local/resolver"])(
  "the Dockerfile of %s has commands to know its cache by",
  (dir) => {
    const path = join(import.meta.dirname, "../../..", dir, "Dockerfile");
    expect(commandsOf(readFileSync(path, "utf8")).length).toBeGreaterThan(0);
  },
);

const exec = (ID: string, command: string, ...Parents: string[]): CacheRecord => ({
  ID,
  Parents,
  Description: `mount / from exec /bin/sh -c ${command}`,
});

test("of the engine's build cache that counts which this project's builds made", () => {
  const records: CacheRecord[] = [
    { ID: "base", Description: "pulled from docker.io/library/debian:trixie-slim" },
    exec("lists", "lists", "base"),
    exec("go", "apt-get   install go", "lists"),
    { ID: "copy", Parents: ["go"], Description: "[go 5/6] COPY pop/ ./" },
    exec("theirs", "npm ci", "base"),
    { ID: "copy-of-theirs", Parents: ["theirs"], Description: "fileop target" },
    {
      ID: "modules",
      Description: 'cached mount /root/go/pkg/mod from exec /bin/sh -c program a with id "/pops-gomod"',
    },
    { ID: "their-modules", Description: 'cached mount /go from exec /bin/sh -c go build with id "/other"' },
  ];
  expect(recordsOf(records, ["lists"]).map(({ ID }) => ID)).toEqual(["lists", "go", "copy", "modules"]);
});

test("an engine that names one parent is understood as well", () => {
  const records: CacheRecord[] = [
    { ID: "b", Parent: "a", Description: "fileop target" },
    { ID: "a", Parent: "", Description: "mount / from exec /bin/sh -c lists" },
    { ID: "c", Description: "" },
  ];
  expect(recordsOf(records, ["lists"]).map(({ ID }) => ID)).toEqual(["b", "a"]);
  expect(recordsOf([], ["lists"])).toEqual([]);
});

test("a record comes after all that are made of it, whatever order the engine has", () => {
  const records: CacheRecord[] = [
    { ID: "base", Parents: ["not ours"] },
    { ID: "merged", Parents: ["left", "right"] },
    { ID: "left", Parents: ["base"] },
    { ID: "alone" },
    { ID: "right", Parents: ["left"] },
  ];
  const order = childrenFirst(records).map(({ ID }) => ID);
  expect(order.toSorted()).toEqual(["alone", "base", "left", "merged", "right"]);
  expect(order.filter((id) => id !== "alone")).toEqual(["merged", "right", "left", "base"]);
});
