/** What each command's help says and how; options that work anywhere; waits that are reported. */
import type { Command } from "commander";
import { expect, test } from "vitest";
import { parseTyped } from "../../cli/complete.ts";
import type { CliContext } from "../../cli/context.ts";
import { examples } from "../../cli/examples.ts";
import { createProgram } from "../../cli/program.ts";
import { cli } from "../support/cli.ts";

const program = createProgram({} as CliContext, () => undefined);
const all = (command: Command, path: string[] = []): string[][] => [
  path,
  ...command
    .createHelp()
    .visibleCommands(command)
    .flatMap((it) => all(it, [...path, it.name()])),
];

test.each(all(program).map((path) => [path.join(" "), path]))(
  "help of fly-pops %s: 80 columns, and an example",
  async (_, path) => {
    await using it = await cli();
    const { code, out, err } = await it.run([...path, "--help"]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect(out).toContain("\nExamples:\n  ");
    const narrow = await it.run([...path, "--help"], { window: () => ({ columns: 60, rows: 24 }) });
    const words = (text: string) => text.split(/\s+/);
    // Wrapped again, and no word is broken.
    expect(words(narrow.out)).toEqual(words(out));
  },
);

test.each(Object.entries(examples).flatMap(([path, lines]) => lines.map((line) => [path, line] as const)))(
  "the example of %j is understood: %s",
  (path, line) => {
    const [, words = ""] = /fly-pops (.*?)( \|.*|\))?$/.exec(line) ?? [];
    const typed = words.split(" ");
    const { command } = parseTyped(program, [...typed, ""]);
    expect(line).toContain(`fly-pops ${path}`);
    const end = typed.includes("--") ? typed.indexOf("--") : typed.length;
    const known = [command, program].flatMap((it) => it.options.flatMap(({ long, short }) => [long, short]));
    expect(typed.slice(0, end).filter((word) => /^--?[a-z]/.test(word) && !known.includes(word))).toEqual([]);
  },
);

test("help of a command below a command, of one there is not, of all", async () => {
  await using it = await cli();
  expect((await it.run(["help", "secrets", "edit"])).out).toMatch(/^Usage: fly-pops secrets edit /);
  expect((await it.run(["help"])).out).toMatch(/^Usage: fly-pops /);
  expect(await it.run(["help", "statsu"])).toEqual({
    code: 2,
    out: "",
    err: "fly-pops: unknown command statsu. Did you mean status? For a list: fly-pops --help\n",
    calls: [],
  });
  expect(await it.run(["help", "nope"])).toMatchObject({
    code: 2,
    err: "fly-pops: unknown command nope. For a list: fly-pops --help\n",
  });
  expect((await it.run(["help", "secrets", "nope"])).err).toContain(
    "fly-pops: unknown command secrets nope. For a list: fly-pops --help",
  );
});

test.each(["-v", "-V", "--version"])("%s", async (flag) => {
  await using it = await cli();
  expect(await it.run([flag])).toEqual({ code: 0, out: "0.1.0\n", err: "", calls: [] });
});

test("--stack before the command, behind it, before a command below; what is said last counts", async () => {
  await using it = await cli();
  const env = { ...it.env, PULUMI_STACK: "nowhere" };
  expect((await it.run(["cost"], { env })).err).toContain("Stack nowhere: there is no Pulumi.nowhere.yaml");
  expect((await it.run(["--stack", "test", "cost"], { env })).code).toBe(0);
  expect((await it.run(["cost", "--stack", "test"], { env })).code).toBe(0);
  expect((await it.run(["-s", "other", "cost", "-s", "test"], { env })).code).toBe(0);
  expect((await it.run(["-s", "other", "cost"], { env })).err).toContain("Stack other: there is no");
  expect((await it.run(["secrets", "-s", "other", "check"], { env })).err).toContain("Stack other: there is no");
  expect((await it.run(["-s", "other", "secrets", "check"], { env })).err).toContain("Stack other: there is no");
  expect((await it.run(["-s", "other", "exec", "cdg-1", "--", "ls", "-s", "test"], { env })).err).toContain(
    "Stack other: there",
  );
});

test("an operator at a terminal sees once that Fly delays the command; others do not", async () => {
  await using it = await cli();
  await it.deploy();
  const slow = { kind: "slow", ms: 5_000 } as const;
  it.local.faults.next("GET machines", slow);
  const watched = await it.run(["nginx-test"], { isWatched: true });
  expect(watched.err).toBe(`Waiting for Fly at ${it.local.url}: no response for 2 s. Press Ctrl-C to stop.\n`);
  it.local.faults.next("GET machines", slow);
  expect((await it.run(["nginx-test"])).err).toBe("");
  expect((await it.run(["nginx-test"], { isWatched: true })).err).toBe("");
});
