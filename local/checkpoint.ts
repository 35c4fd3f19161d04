/** The state file of Pulumi's file backend. It is written in place: a CLI killed in that moment leaves half a file, and every later one refuses it. */
import { copyFileSync, existsSync, readFileSync, rmSync } from "node:fs";

/**
 * Puts the backup of the last write in the place of a broken state, or nothing where that is broken too. Returns whether it had to.
 * What the backup does not know is found again: every create here looks first.
 */
export function mendCheckpoint(stateFile: string): boolean {
  const backup = `${stateFile}.bak`;
  // Beside each file the backend keeps one of attributes, and does without; half of one it takes for a broken state.
  const broken = [stateFile, backup]
    .map((file) => `${file}.attrs`)
    .filter((file) => existsSync(file) && !isWhole(file));
  for (const file of broken) rmSync(file);
  if (isWhole(stateFile)) return broken.length > 0;
  if (existsSync(backup) && isWhole(backup)) copyFileSync(backup, stateFile);
  else rmSync(stateFile, { force: true });
  return true;
}

/** A file that is not there is whole: there is no stack yet. */
function isWhole(file: string): boolean {
  try {
    JSON.parse(readFileSync(file, "utf8"));
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT";
  }
}
