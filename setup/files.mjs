/** Files that appear whole or not at all. */

import { cpSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/**
 * Moves a finished file or folder to its place, which may lie on another file system: then by a copy beside it first.
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
    rmSync(to, { recursive: true }); // a folder is not replaced by a rename
    renameSync(beside, to);
  }
  rmSync(from, { recursive: true, force: true });
}
