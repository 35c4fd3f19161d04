import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { cli } from "../support/cli.ts";

const run = promisify(execFile);

/** What bash offers for a line, its last word being typed. `npx` is one that knows two PoPs. */
async function offered(script: string, line: string[]): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "fly-pops-completion-"));
  writeFileSync(join(folder, "npx"), "#!/bin/sh\necho cdg-1\necho ewr-1\n", { mode: 0o755 });
  writeFileSync(join(folder, "script"), script);
  const words = line.map((word) => `'${word}'`).join(" ");
  const ask = `. ${folder}/script; COMP_WORDS=(${words}); COMP_CWORD=${line.length - 1}; _fly_pops; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await run("bash", ["-c", ask], { env: { PATH: `${folder}:${process.env.PATH}` } });
  rmSync(folder, { recursive: true });
  return stdout.split("\n").filter(Boolean);
}

test("bash: commands, options of a command, PoPs where one is wanted", async () => {
  await using it = await cli();
  const { code, out } = await it.run(["completion", "bash"]);
  expect(code).toBe(0);
  expect(await offered(out, ["fly-pops", "st"])).toEqual(["status"]);
  expect(await offered(out, ["fly-pops", "status", "--w"])).toEqual(["--watch"]);
  expect(await offered(out, ["fly-pops", "logs", ""])).toEqual(expect.arrayContaining(["cdg-1", "ewr-1", "--follow"]));
  expect(await offered(out, ["fly-pops", "logs", "--follow", "c"])).toEqual(["cdg-1"]);
  expect(await offered(out, ["fly-pops", "cost", "c"])).toEqual([]);
  expect(await offered(out, ["fly-pops", "comp"])).toEqual(["completion"]);
});

test.each(["zsh", "fish"])("%s: every command is in it", async (shell) => {
  await using it = await cli();
  const { out } = await it.run(["completion", shell]);
  for (const command of ["status", "logs", "exec", "rollback", "doctor"]) expect(out).toContain(command);
  expect(out).toContain("complete-pops");
});

test("another shell is refused, with those there are", async () => {
  await using it = await cli();
  const { code, err } = await it.run(["completion", "tcsh"]);
  expect(code).toBe(2);
  expect(err).toContain("Allowed choices are bash, zsh, fish.");
});

test("complete-pops: names from the stack file, without a call", async () => {
  await using it = await cli();
  expect(await it.run(["complete-pops"])).toEqual({ code: 0, out: "cdg-1\newr-1\n", err: "", calls: [] });
});
