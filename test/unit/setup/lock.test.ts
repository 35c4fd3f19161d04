import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lock, tryLock } from "../../../setup/lock.mjs";

let dir: string;
let file: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "setup-lock-"));
  file = join(dir, "setup.lock");
});
afterEach(() => rmSync(dir, { recursive: true }));

const module = pathToFileURL(join(import.meta.dirname, "../../../setup/lock.mjs")).href;
/** The pid of a process that has ended. */
const deadPid = () => spawnSync(process.execPath, ["-e", ""]).pid;

test("a free lock is taken, with our pid in it and nothing left beside it", () => {
  expect(tryLock(file)).toBeUndefined();
  expect(readFileSync(file, "utf8")).toBe(String(process.pid));
  expect(readdirSync(dir)).toEqual(["setup.lock"]);
});

test("a living holder keeps its lock and is named", () => {
  writeFileSync(file, String(process.ppid));
  expect(tryLock(file)).toBe(process.ppid);
  expect(readFileSync(file, "utf8")).toBe(String(process.ppid));
});

test.each([
  ["of a dead process", () => String(deadPid())],
  ["without a number", () => "rubbish"],
  ["left empty", () => ""],
])("a lock %s is taken over", (_, content) => {
  writeFileSync(file, content());
  expect(tryLock(file)).toBeUndefined();
  expect(readFileSync(file, "utf8")).toBe(String(process.pid));
  expect(readdirSync(dir)).toEqual(["setup.lock"]);
});

test("releasing removes our own lock, never another's", async () => {
  const release = await lock(file, () => undefined);
  release();
  expect(existsSync(file)).toBe(false);
  writeFileSync(file, String(process.ppid));
  release();
  expect(readFileSync(file, "utf8")).toBe(String(process.ppid));
});

test("a waiter learns once who holds the lock, and gets it when the holder dies", async () => {
  const program = `
    const { tryLock } = await import("${module}");
    tryLock(${JSON.stringify(file)});
    console.log("held");
    process.stdin.resume();`;
  const holder = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(holder.stdout, "data");
  const reported: number[] = [];
  const release = await lock(file, (pid: number) => {
    reported.push(pid);
    holder.kill("SIGKILL");
  });
  release();
  expect(reported).toEqual([holder.pid]);
});

test("eight processes that find a stale lock hold it one at a time", async () => {
  writeFileSync(file, String(deadPid()));
  const inside = join(dir, "inside");
  // Each makes a file that must not be there yet, and removes it again: two at once would fail on it.
  const program = `
    const { lock } = await import("${module}");
    const { rmSync, writeFileSync } = await import("node:fs");
    const release = await lock(${JSON.stringify(file)}, () => {});
    writeFileSync(${JSON.stringify(inside)}, "", { flag: "wx" });
    await new Promise(setImmediate);
    rmSync(${JSON.stringify(inside)});
    release();`;
  const ends = Array.from({ length: 8 }, async () => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    const [code] = await once(child, "exit");
    return code;
  });
  expect(await Promise.all(ends)).toEqual(Array(8).fill(0));
});
