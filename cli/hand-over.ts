/** Gives the terminal to another program and ends with its exit code, as a shell would have it. */
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { constants as os } from "node:os";
import { delimiter, join } from "node:path";
import type { World } from "./world.ts";

/** The first program of this name on PATH. */
export function onPath(world: World, name: string): string | undefined {
  return (world.env.PATH ?? "")
    .split(delimiter)
    .filter(Boolean)
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export function handOver(world: World, program: string, args: string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: world.env as NodeJS.ProcessEnv, stdio: "inherit" });
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : os.signals[signal])));
  });
}
