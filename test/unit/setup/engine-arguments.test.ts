/** Whether the CLI that runs the program was asked for messages for debugging. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";

const { engineArguments, isDebugging } = createRequire(import.meta.url)("../../../setup/engine-arguments.cjs") as {
  engineArguments(pid?: number, proc?: string): string[] | undefined;
  isDebugging(args?: string[]): boolean;
};

const proc = mkdtempSync(join(tmpdir(), "fly-pops-proc-"));
afterEach(() => rmSync(proc, { recursive: true, force: true }));

/** Processes, each the child of the next. */
function processes(...commands: string[][]): void {
  for (const [index, command] of commands.entries()) {
    const dir = join(proc, String(index + 10));
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, "cmdline"), `${command.join("\0")}\0`);
    writeFileSync(join(dir, "status"), `Name:\tx\nPPid:\t${index + 11}\nTracerPid:\t0\n`);
  }
}

test.each([
  { name: "its language host between", above: [["/x/pulumi-language-nodejs", "127.0.0.1:1"]] },
  {
    name: "our own host and a shell between",
    above: [
      ["node", "/x/language-host.cjs"],
      ["sh", "-c", "x"],
    ],
  },
  { name: "nothing between", above: [] },
])("the CLI is found with $name", ({ above }) => {
  processes(...above, ["/home/me/.pulumi/bin/pulumi", "up", "--debug", ""], ["node", "npx"]);
  expect(engineArguments(10, proc)).toEqual(["up", "--debug", ""]);
});

test("without the CLI above, or without /proc, nothing is known, and messages stay", () => {
  processes(["node", "vitest"], ["bash"]);
  expect(engineArguments(10, proc)).toBeUndefined();
  expect(engineArguments(10, join(proc, "none"))).toBeUndefined();
});

test.each([
  [["up", "--yes"], false],
  [["up", "--diff", "--stack", "debug"], false],
  [["preview", "-d"], true],
  [["up", "--debug"], true],
  [["up", "--debug=true"], true],
  [["up", "-v9", "--logtostderr"], true],
  [["up", "--verbose", "9"], true],
])("%j: messages for debugging are shown: %s", (args, shown) => {
  expect(isDebugging(args)).toBe(shown);
});
