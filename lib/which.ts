import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Paths of the executables of this name in the directories of PATH and in `elsewhere`, in this order. */
export function which(name: string, path: string | undefined, extraDirs: readonly string[] = []): string[] {
  const dirs = [...(path ?? "").split(delimiter).filter(Boolean), ...extraDirs];
  return dirs.map((dir) => join(dir, name)).filter(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
