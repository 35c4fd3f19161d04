/** Gives the terminal to another program and ends with its exit code, as a shell would have it. */
import { spawn } from "node:child_process";
import { constants as os } from "node:os";
import { which } from "../providers/which.ts";
import type { World } from "./world.ts";

/** The first program of this name on PATH. */
export const onPath = (world: World, name: string): string | undefined => which(name, world.env.PATH)[0];

export function handOver(world: World, program: string, args: string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: world.env as NodeJS.ProcessEnv, stdio: "inherit" });
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : os.signals[signal])));
  });
}

/** A word as a shell reads it. */
export const quoted = (word: string): string =>
  /^[\w./:=@%-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
