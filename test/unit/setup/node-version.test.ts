import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, expect, test } from "vitest";

const root = join(import.meta.dirname, "../../..");
const guard = join(root, "setup/node-version.cjs");
const dynamicHost = join(root, "setup/dynamic-host/pulumi-resource-pulumi-nodejs");
const { refusal } = createRequire(import.meta.url)(guard);
const { outcome, splitArguments } = createRequire(import.meta.url)("../../../setup/pulumi/language-host.cjs");

/** A directory with a `node` that does not strip types, as an older one. */
let old: string;
beforeEach(() => {
  old = mkdtempSync(join(tmpdir(), "setup-node-"));
  writeFileSync(join(old, "node"), `#!/bin/sh\nexec "${process.execPath}" --no-strip-types "$@"\n`);
  chmodSync(join(old, "node"), 0o755);
});
afterEach(() => rmSync(old, { recursive: true }));
const withOld = () => ({ ...process.env, PATH: `${old}${delimiter}${process.env.PATH}` });

test("the sentence names the version, the place and the cure", () => {
  const sentence = refusal({ versions: { node: "20.20.2" }, features: {} }, "/usr/bin/node");
  expect(sentence).toMatch(
    /^node 20\.20\.2 at \/usr\/bin\/node cannot run TypeScript\. .* 22\.18 .* PATH\. Nothing was changed\. .* npx pulumi/,
  );
  expect(refusal(process, process.execPath)).toBeUndefined();
});

test("a program under an old node ends before its first line, with the SDK's code for: the user knows", () => {
  const env = withOld();
  const { status, stdout, stderr } = spawnSync("node", ["--require", guard, "-e", "console.log('ran')"], {
    env,
    encoding: "utf8",
  });
  expect({ status, stdout }).toEqual({ status: 32, stdout: "" });
  expect(stderr).toMatch(/^error: node .* cannot run TypeScript\. .*\n$/);
});

test("under this node the guard is silent and the program runs", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--require", guard, "-e", "console.log('ran')"], {
    encoding: "utf8",
  });
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "ran\n", stderr: "" });
});

test("the dynamic providers' host under an old node says the same sentence and does not start", () => {
  const env = withOld();
  const { status, stdout, stderr } = spawnSync(dynamicHost, ["127.0.0.1:1"], { cwd: root, env, encoding: "utf8" });
  expect({ status, stdout }).toEqual({ status: 32, stdout: "" });
  expect(stderr).toMatch(/^error: node .* cannot run TypeScript\. .*\n$/);
});

test("the dynamic providers' host starts with this node: a port on its first line", async () => {
  const host = spawn(dynamicHost, ["127.0.0.1:1"], { cwd: root, stdio: ["pipe", "pipe", "inherit"] });
  try {
    const [line] = await once(createInterface({ input: host.stdout }), "line");
    expect(line).toMatch(/^\d+$/);
  } finally {
    host.kill("SIGKILL");
  }
});

test.each([
  ["--require ./setup/node-version.cjs", ["--require", "./setup/node-version.cjs"]],
  ["  -r  './a b.cjs' --x=\"c d\" ", ["-r", "./a b.cjs", "--x=c d"]],
  ["a\\ b", ["a b"]],
  ["", []],
])("nodeargs %j split as a shell splits them", (text, expected) => {
  expect(splitArguments(text)).toEqual(expected);
});

test.each([
  [0, null, { error: "", bail: false }],
  [32, null, { error: "", bail: true }],
  [1, null, { error: "Program exited with non-zero exit code: 1", bail: false }],
  [null, "SIGKILL", { error: "Program was ended by SIGKILL", bail: false }],
])("a program that ended with code %j, signal %j", (code, signal, expected) => {
  expect(outcome(code, signal)).toEqual(expected);
});

test("without npm's Node, `fly-pops` under an old one says so in a sentence, and does nothing", () => {
  mkdirSync(join(old, "cli"));
  mkdirSync(join(old, "node_modules", "commander"), { recursive: true });
  cpSync(join(root, "cli/fly-pops.cjs"), join(old, "cli/fly-pops.cjs"));
  const start = (...flags: string[]) =>
    spawnSync(process.execPath, [...flags, join(old, "cli/fly-pops.cjs"), "--version"], { encoding: "utf8" });
  expect(start("--no-strip-types")).toMatchObject({ status: 1, stdout: "" });
  expect(start("--no-strip-types").stderr).toMatch(
    /^fly-pops: npm brought no Node with its packages, and node \S+ cannot run TypeScript\. Nothing was done\. Run: npm ci --include=optional, or .*\n$/,
  );
  writeFileSync(join(old, "cli/main.ts"), 'const said: string = "ran";\nconsole.log(said);\n');
  expect(start()).toMatchObject({ status: 0, stdout: "ran\n" });
});
