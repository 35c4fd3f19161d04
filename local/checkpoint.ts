/** The state file of Pulumi's file backend. It is written in place: a CLI killed in that moment leaves half a file, and every later one refuses it. */
import { copyFileSync, readFileSync, rmSync } from "node:fs";

/**
 * Puts the backup of the last write in the place of a broken state, or nothing where that is broken too. Returns whether it had to.
 * What the backup does not know is found again: every create here looks first.
 */
export function mendCheckpoint(stateFile: string): boolean {
  if (isWhole(stateFile)) return false;
  const backup = `${stateFile}.bak`;
  if (isWhole(backup)) copyFileSync(backup, stateFile);
  else rmSync(stateFile, { force: true });
  return true;
}

/** A file that is not there is whole: there is no stack yet. */
function isWhole(file: string): boolean {
  try {
    JSON.parse(readFileSync(file, "utf8"));
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT" && !file.endsWith(".bak");
  }
}
