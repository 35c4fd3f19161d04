/** Runs another program on this terminal and returns its exit code as a shell would. */
import { spawn } from "node:child_process";
import { constants as os } from "node:os";
import { which } from "../lib/which.ts";
import type { CliContext } from "./context.ts";

/** The first program of this name on PATH. */
export const findOnPath = (context: CliContext, name: string): string | undefined => which(name, context.env.PATH)[0];

export function execInherit(context: CliContext, program: string, args: string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: context.env as NodeJS.ProcessEnv, stdio: "inherit" });
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : os.signals[signal])));
  });
}

/** A word quoted for a shell. */
export const shellQuote = (word: string): string =>
  /^[\w./:=@%-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
