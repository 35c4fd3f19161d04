import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { optionsOf, UsageError } from "../../../setup/options.mjs";

const root = join(import.meta.dirname, "..", "..", "..");
const options = { one: { type: "string" }, many: { type: "string" }, dry: { type: "boolean" } } as const;

test.each([
  [[], 0, {}, []],
  [["--one", "1"], 0, { one: "1" }, []],
  [["--many=2", "--dry"], 0, { many: "2", dry: true }, []],
  [["a", "--dry", "b"], 2, { dry: true }, ["a", "b"]],
  [["--one", "1", "--dry"], 0, { one: "1", dry: true }, []],
])("%j is understood", (args, words, values, rest) => {
  const alone = { one: ["replays one", "dry"] } satisfies { one: [string, ...("dry" | "many")[]] };
  expect(optionsOf(args, options, { words, alone })).toEqual({ values: { ...values }, words: rest });
});

test.each([
  [["--on"], "Unknown option '--on'."],
  [["--one"], "Option '--one <value>' argument missing."],
  [["--dry=yes"], "Option '--dry' does not take an argument."],
  [["5"], '"5" has no meaning here.'],
  [["--", "5"], '"5" has no meaning here.'],
  [["--many", "2", "--one", "1"], "--one replays one, so --many has no meaning beside it."],
])("%j is refused", (args, sentence) => {
  expect(() => optionsOf(args, options, { alone: { one: ["replays one", "dry"] } })).toThrow(new UsageError(sentence));
});

// bench, local and sim have tests of their own.
test.each([
  ["tools/docs/main.ts", 2],
  ["tools/docs/cache-suite.ts", 2],
  ["tools/docs/simulation.ts", 2],
  ["tools/docs/status-page.ts", 2],
  ["preview/main.ts", 2],
  ["preview/deploy-summary.ts", 1],
  ["test/soak/cache-suite/main.ts", 2],
])("%s refuses an option that it does not know, and does nothing", (script, code) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, script), "--sed", "1"], {
    cwd: root,
    encoding: "utf8",
  });
  expect({ status, stdout }).toEqual({ status: code, stdout: "" });
  expect(stderr).toContain("Unknown option '--sed'");
});

test("preview:summary compares files by --base, so --files has no meaning beside it", () => {
  const args = [join(root, "preview/main.ts"), "--stack", "prod", "--base", "HEAD", "--files", "HEAD"];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  expect(stderr).toContain("--base compares the files as well, so --files has no meaning beside it.");
});
