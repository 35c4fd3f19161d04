/** Files that appear whole or not at all. */

import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/**
 * Moves a finished file or directory to its place, which may lie on another file system: then by a copy beside it first.
 * What stood there is replaced.
 */
export function place(from, to) {
  mkdirSync(dirname(to), { recursive: true });
  const beside = join(dirname(to), `.${basename(to)}.${process.pid}`);
  try {
    renameSync(from, beside);
  } catch (error) {
    if (error.code !== "EXDEV") throw error;
    cpSync(from, beside, { recursive: true });
  }
  try {
    renameSync(beside, to);
  } catch (error) {
    if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
    rmSync(to, { recursive: true }); // a directory is not replaced by a rename
    renameSync(beside, to);
  }
  rmSync(from, { recursive: true, force: true });
}

/** Removes a directory: it is gone at once, and what was in it by and by, by a process of its own; what such a process left when it was ended goes as well. */
export function removeBeside(dir) {
  if (!existsSync(dir)) return;
  renameSync(dir, `${dir}.${process.pid}.gone`);
  const gone = readdirSync(dirname(dir)).filter((it) => it.startsWith(`${basename(dir)}.`) && it.endsWith(".gone"));
  spawn("rm", ["-rf", ...gone], { cwd: dirname(dir), detached: true, stdio: "ignore" }).unref();
}
