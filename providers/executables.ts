import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Programs of this name in the folders of PATH and in `elsewhere`, in this order. */
export function executables(name: string, path: string | undefined, elsewhere: readonly string[] = []): string[] {
  const folders = [...(path ?? "").split(delimiter).filter(Boolean), ...elsewhere];
  return folders.map((folder) => join(folder, name)).filter(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
