/** Imports go one way, as docs/architecture.md says: between rooms, and without circles between directories or files. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { architecturePage, architecturePath, misplacedRows, projectImports } from "../../tools/docs/architecture.ts";
import { directoryCycles, fileCycles, importsIn } from "../../tools/imports/graph.ts";
import { roomOf, upwardImports } from "../../tools/imports/rooms.ts";

describe("the project", () => {
  const imports = projectImports();
  const page = readFileSync(architecturePath, "utf8");

  test("has more than two thousand imports, all of them in rooms", () => {
    expect(imports.length).toBeGreaterThan(2_000);
    expect(imports.filter(({ from, to }) => roomOf(from) === undefined || roomOf(to) === undefined)).toEqual([]);
  });

  test("imports only from lower rooms: else move the file, or what it needs of the other one", () => {
    expect(upwardImports(imports)).toEqual([]);
  });

  test("has no files that import each other", () => {
    expect(fileCycles(imports)).toEqual([]);
  });

  test("has no directories beside each other that import each other", () => {
    expect(directoryCycles(imports)).toEqual([]);
  });

  test("is in the table of docs/architecture.md, from the lowest room to the highest", () => {
    expect(misplacedRows(page)).toEqual([]);
  });

  test("imports what that table says: else run `npm run docs`", () => {
    expect(architecturePage(page, imports)).toBe(page);
  });
});

/** The checks must see what they are for. */
describe("a planted fault", () => {
  const sources = (files: Record<string, string>) => importsIn(new Map(Object.entries(files)));
  const target = { "cli/run.ts": "export const run = 1; export type Run = number;" };

  test.each([
    ["a value", 'import { run } from "../cli/run.ts";'],
    ["a type", 'import type { Run } from "../cli/run.ts";'],
    ["one type among values", 'import { type Run, run } from "../cli/run.ts";'],
    ["what it exports again", 'export { run } from "../cli/run.ts";'],
    ["a module for its effects", 'import "../cli/run.ts";'],
    ["a module on use", 'const { run } = await import("../cli/run.ts");'],
    ["the type of a module", 'type Run = import("../cli/run.ts").Run;'],
    ["a module by require", 'const { run } = require("../cli/run.ts");'],
  ])("an upward import of %s is found", (_, text) => {
    expect(upwardImports(sources({ ...target, "config/parse.ts": text }))).toEqual([
      { from: "config/parse.ts", to: "cli/run.ts" },
    ]);
  });

  test.each([
    ["another room of the same layer", "fly/api.ts", "sops/file.ts"],
    ["the providers, from setup", "setup/main.mjs", "providers/host.ts"],
    ["test code, from the product", "cli/run.ts", "test/support/cli.ts"],
    ["test code, from the program", "index.ts", "test/support/cli.ts"],
    ["a test, from a benchmark", "bench/main.ts", "test/unit/imports.test.ts"],
    ["a benchmark, from what tests share", "test/support/cli.ts", "bench/main.ts"],
    ["a directory that has no place yet", "cli/run.ts", "new/file.ts"],
  ])("an import of %s is found", (_, from, to) => {
    const up = "../".repeat(from.split("/").length - 1) || "./";
    const imports = sources({ [from]: `import "${up}${to}";`, [to]: "" });
    expect(imports).toEqual([{ from, to }]);
    expect([...upwardImports(imports), ...imports.filter((it) => roomOf(it.to) === undefined)]).toEqual([{ from, to }]);
  });

  test.each([
    ["the same room", "cli/run.ts", "cli/program.ts"],
    ["a lower room", "cli/run.ts", "lib/clock.ts"],
    ["the file of a room outside of its directory", "components/edge.ts", "config.ts"],
    ["the host's providers, from its plugin", "setup/dynamic-host/host.cjs", "providers/host.ts"],
    ["shared test code, from a benchmark", "bench/main.ts", "test/support/cli.ts"],
    ["a benchmark, from a test", "test/unit/bench.test.ts", "bench/main.ts"],
  ])("an import of %s does not count", (_, from, to) => {
    expect(upwardImports([{ from, to }])).toEqual([]);
  });

  test("circles of files are found, those of types too, and only they", () => {
    const imports = sources({
      "cli/a.ts": 'import { b } from "./b.ts"; export type A = 1;',
      "cli/b.ts": 'import { c } from "./c.ts";',
      "cli/c.ts": 'import type { A } from "./a.ts"; import "./d.ts";',
      "cli/d.ts": "",
      "cli/e.ts": 'import "./f.ts";',
      "cli/f.ts": 'type E = import("./e.ts").E;',
    });
    expect(fileCycles(imports)).toEqual([
      ["cli/a.ts", "cli/b.ts", "cli/c.ts"],
      ["cli/e.ts", "cli/f.ts"],
    ]);
  });

  test("circles of directories are found where no files form one", () => {
    const imports = sources({
      "local/fly/api/a.ts": 'import "../machines/a.ts";',
      "local/fly/api/b.ts": "",
      "local/fly/machines/a.ts": "",
      "local/fly/machines/b.ts": 'import "../api/b.ts";',
      "local/up.ts": 'import "./fly/api/a.ts";',
    });
    expect(fileCycles(imports)).toEqual([]);
    expect(directoryCycles(imports)).toEqual([["local/fly/api", "local/fly/machines"]]);
  });

  const page = (rows: string) => `# Architecture\n\n${rows}\n\n## More\n\n| \`x/\` | y | z |\n`;

  test("a cell that says something else is replaced, and nothing below the table", () => {
    const imports = [{ from: "cli/run.ts", to: "lib/clock.ts" }];
    expect(architecturePage(page("| `cli/` | commands | `fly/` |\n| `lib/` | more | `cli/` |"), imports)).toBe(
      page("| `cli/` | commands | `lib/` |\n| `lib/` | more | nothing |"),
    );
  });

  test("a room without a row, and one above a lower room, are found", () => {
    const found = misplacedRows(page("| `cli/` | commands | nothing |\n| `lib/` | more | nothing |"));
    expect(found).toContain("fly: no row");
    expect(found).toContain("cli: before a room of a lower layer");
    expect(found).not.toContain("lib: no row");
  });
});
