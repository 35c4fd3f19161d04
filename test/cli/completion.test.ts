import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { type Cli, cli, values } from "../support/cli.ts";

const run = promisify(execFile);

/** What bash offers for a line, its last word being typed, in the directory of a project. The script itself asks the real command line. */
async function offered(script: string, line: string[], { dir, env }: Cli): Promise<string[]> {
  const scripts = mkdtempSync(join(tmpdir(), "fly-pops-completion-"));
  writeFileSync(join(scripts, "script"), script);
  const words = line.map((word) => `'${word}'`).join(" ");
  const ask = `. ${scripts}/script; COMP_WORDS=(${words}); COMP_CWORD=${line.length - 1}; _fly_pops; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await run("bash", ["-c", ask], { cwd: dir, env: { PATH: env.PATH, PULUMI_STACK: "test" } });
  rmSync(scripts, { recursive: true });
  return stdout.split("\n").filter(Boolean);
}

test("bash: commands, and PoPs of the project in the working directory", async () => {
  await using it = await cli();
  const { code, out } = await it.run(["completion", "bash"]);
  expect(code).toBe(0);
  expect(out).not.toContain("npx fly-pops complete");
  expect(await offered(out, ["fly-pops", "stat"], it)).toEqual(["status"]);
  expect(await offered(out, ["fly-pops", "logs", "--follow", "c"], it)).toEqual(["cdg-1"]);
  // bash takes words apart at the sign.
  expect(await offered(out, ["fly-pops", "logs", "--stack", "=", "te"], it)).toEqual(["test"]);
});

test.each(["bash", "zsh", "fish"])("%s: the script asks for what may stand there, without npx", async (shell) => {
  await using it = await cli();
  const { out } = await it.run(["completion", shell]);
  expect(out).toContain(`complete ${shell}`);
  expect(
    out
      .split("\n")
      .filter((line) => !line.startsWith("#"))
      .join(),
  ).not.toContain("npx");
});

test("another shell is refused, with those there are", async () => {
  await using it = await cli();
  const { code, err } = await it.run(["completion", "tcsh"]);
  expect(code).toBe(2);
  expect(err).toContain("Allowed choices are bash, zsh, fish.");
});

test.each([
  [["lo"], ["logs"]],
  [["-"], ["--version", "-V", "--stack", "-s", "--help", "-h"]],
  [
    ["secrets", ""],
    ["edit", "show-recipients", "rekey", "check"],
  ],
  [["help", "doc"], ["doctor"]],
  [
    ["completion", ""],
    ["bash", "zsh", "fish"],
  ],
  [
    ["-s", ""],
    ["other", "test"],
  ],
  [["status", "--stack", "o"], ["other"]],
  [["status", "--stack=o"], ["--stack=other"]],
  [["status", "--w"], ["--watch"]],
  [["status", ""], []],
  [["cost", "c"], []],
  [
    ["logs", ""],
    ["cdg-1", "cdg-2", "ewr-1"],
  ],
  [
    ["logs", "--follow", "c"],
    ["cdg-1", "cdg-2"],
  ],
  [["logs", "-n", "5", "e"], ["ewr-1"]],
  [["logs", "cdg-1", ""], []],
  [["logs", "-s", "other", ""], ["nrt-1"]],
  [["-s", "other", "logs", ""], ["nrt-1"]],
  [["logs", "--stack=other", ""], ["nrt-1"]],
  [["logs", "-s", "none", ""], []],
  [["logs", "--site", ""], ["www.example.org"]],
  [["purge", ""], ["https://www.example.org/"]],
  [["purge", "--site", ""], ["www.example.org"]],
  [
    ["maintenance", ""],
    ["on", "off"],
  ],
  [["maintenance", "on", ""], ["www.example.org"]],
  [
    ["drain", "c"],
    ["cdg-1", "cdg-2"],
  ],
  [["tail", "e"], ["ewr-1"]],
  [["exec", "cdg-1", "--", ""], []],
  [["nonsense", ""], []],
])("after %j come %j, by files alone", async (typed, found) => {
  await using it = await cli();
  it.config(values({ regions: { ewr: { replicas: 1 }, cdg: {} }, defaults: { replicas: 2 } }));
  writeFileSync(join(it.dir, "Pulumi.other.yaml"), "config:\n  fly-pops:regions:\n    nrt:\n");
  const { out, ...rest } = await it.run(["complete", "bash", ...typed]);
  expect(rest).toEqual({ code: 0, err: "", calls: [] });
  expect(out.split("\n").filter(Boolean)).toEqual(found);
});

test("zsh and fish hear what each is for", async () => {
  await using it = await cli();
  expect((await it.run(["complete", "zsh", "cos"])).out).toBe(
    "cost:estimate the monthly cost of the stack file by list prices\n",
  );
  expect((await it.run(["complete", "fish", "cos"])).out).toBe(
    "cost\testimate the monthly cost of the stack file by list prices\n",
  );
});

test("a stack file that cannot be read offers nothing, and complains of nothing", async () => {
  await using it = await cli();
  writeFileSync(join(it.dir, "Pulumi.test.yaml"), "config: [\n");
  expect(await it.run(["complete", "bash", "logs", ""])).toMatchObject({ code: 0, out: "", err: "" });
});

test("the selected stack is read where Pulumi keeps it", async () => {
  await using it = await cli();
  const home = join(it.dir, "pulumi");
  mkdirSync(join(home, "workspaces"), { recursive: true });
  const name = createHash("sha1").update(join(it.dir, "Pulumi.yaml")).digest("hex");
  const select = (stacks: Record<string, string>) =>
    writeFileSync(join(home, "workspaces", `fly-pops-${name}-workspace.json`), JSON.stringify({ stacks }));
  const env = {
    ...it.env,
    PULUMI_STACK: undefined,
    PULUMI_HOME: home,
    PULUMI_BACKEND_URL: "file:///state",
    PATH: "/nowhere",
  };
  const pops = async (over = {}) => (await it.run(["complete", "bash", "logs", ""], { env: { ...env, ...over } })).out;
  select({ "file:///state": "organization/fly-pops/test" });
  expect(await pops()).toBe("cdg-1\newr-1\n");
  expect((await it.run(["cost"], { env })).code).toBe(0);
  writeFileSync(join(home, "credentials.json"), JSON.stringify({ current: "file:///state" }));
  expect(await pops({ PULUMI_BACKEND_URL: undefined })).toBe("cdg-1\newr-1\n");
  // Of another backend: nothing is known here, and the CLI, which is asked then, is not there.
  expect(await pops({ PULUMI_BACKEND_URL: "file:///elsewhere" })).toBe("");
  expect((await it.run(["cost"], { env: { ...env, PULUMI_BACKEND_URL: "file:///elsewhere" } })).err).toContain(
    "The Pulumi CLI could not be started",
  );
  select({});
  expect(await pops()).toBe("");
});
