/** The command as a user starts it: a process of its own, streams, exit codes. */
import { execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { cli, plantedToken } from "../support/cli.ts";

const root = join(import.meta.dirname, "..", "..");
const launcher = join(root, "cli", "fly-pops.cjs");
const env = { PATH: process.env.PATH, HOME: process.env.HOME };

/** @param node another Node for the launcher itself */
async function launch(args: string[], over: NodeJS.ProcessEnv = {}, node = process.execPath) {
  try {
    const { stdout, stderr } = await promisify(execFile)(node, [launcher, ...args], { env: { ...env, ...over } });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, stdout, stderr };
  }
}

test("help goes to standard output, mistakes to standard error, exit codes come through", async () => {
  const help = await launch(["--help"]);
  expect(help).toMatchObject({ code: 0, stderr: "" });
  expect(help.stdout).toContain("status [options]");
  expect(help.stdout).not.toContain("\x1b");
  expect(help.stdout).not.toContain("complete ");
  expect(await launch(["nonsense"])).toMatchObject({
    code: 2,
    stdout: "",
    stderr: "fly-pops: unknown command 'nonsense'\n(run with --help for what is understood)\n",
  });
  expect(await launch(["status", "--stack", "none"])).toMatchObject({ code: 1, stdout: "" });
});

const old = ["/usr/bin/node", "/usr/local/bin/node"].find((path) => existsSync(path));

test.skipIf(old === undefined)("the system's node may start it, whatever its version", async () => {
  expect(await launch(["--version"], {}, old)).toMatchObject({ code: 0, stdout: "0.1.0\n", stderr: "" });
});

test("npx finds it in a checkout, also over a link", async () => {
  const dir = mkdtempSync(join(tmpdir(), "fly-pops-bin-"));
  symlinkSync(launcher, join(dir, "fly-pops"));
  const { stdout } = await promisify(execFile)(join(dir, "fly-pops"), ["--version"], { env });
  expect(stdout).toBe("0.1.0\n");
  rmSync(dir, { recursive: true });
});

test("who reads has read enough: no complaint about the closed pipe", async () => {
  const child = spawn(process.execPath, [launcher, "completion", "bash"], { env, stdio: ["ignore", "pipe", "pipe"] });
  child.stdout.destroy();
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
});

test("a refused token shows neither in the output nor in an error", async () => {
  await using it = await cli();
  const ran = await launch(["status", "--stack", "prod"], {
    FLY_API_HOSTNAME: it.local.url,
    FLY_API_TOKEN: plantedToken,
  });
  expect(ran.code).toBe(1);
  expect(ran.stderr).toContain("Fly does not know the token");
  expect(ran.stdout + ran.stderr).not.toContain(plantedToken);
});
