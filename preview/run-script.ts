/** Runs a script of this directory in its own process. The last line of its standard output is its result as JSON. */
import { execFile } from "node:child_process";
import { join } from "node:path";

/** Rejects with the script's error message as one line. */
export function runScript<T>(
  script: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<T> {
  return new Promise((resolve, reject) =>
    execFile(
      "node",
      [join(import.meta.dirname, script), ...args],
      { maxBuffer: 2 ** 28, env },
      (error, stdout, stderr) => {
        if (error === null) {
          const last = stdout.trimEnd().split("\n").at(-1) ?? "";
          if (last !== "") return resolve(JSON.parse(last) as T);
        }
        const errorLine = stderr.split("\n").find((line) => /^(<ref \*\d+> )?\w*Error( \[\w+\])?: /.test(line));
        reject(new Error(errorLine ?? `it exited with code ${error?.code ?? 0} without an error message`));
      },
    ),
  );
}
