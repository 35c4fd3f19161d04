/** Child processes: run to the end, all output into a log, one telling line of it into the error; end with us. */

import { spawn } from "node:child_process";
import { accessSync, constants, createWriteStream, mkdirSync } from "node:fs";
import { delimiter, join, relative } from "node:path";
import { createInterface } from "node:readline";
import { Interrupted } from "./failure.mjs";
import { cache, root } from "./paths.mjs";

/** Milliseconds a child has between SIGTERM and SIGKILL. */
export const GRACE = 5000;

const children = new Set();
let interrupted = false;

/** A command that ended badly. The message is one line: how, its telling line, where all of it is. */
export class CommandError extends Error {
  name = "CommandError";
}

/**
 * The line of an output that says what went wrong: the first that npm, apt or dpkg marks as an error, else the last.
 * Undefined when there is none.
 */
export function tellingLine(lines) {
  const marked = lines
    .map(
      (line) =>
        /^(?:npm (?:error|ERR!)|E:|error:|fatal:) +(?!code |errno |syscall |A complete log )(.+)$/.exec(line)?.[1],
    )
    .find((it) => it !== undefined);
  return marked ?? lines.at(-1);
}

/**
 * Runs a command to its end.
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, timeout?: number, log?: string, onLine?: (line: string) => void }} [options]
 *   timeout: milliseconds until it is ended. Absent: none. log: name of the file below .cache/logs that keeps its output.
 * @returns {Promise<string>} its standard output
 */
export function run(command, args, { cwd, env, timeout, log, onLine } = {}) {
  if (interrupted) return Promise.reject(new Interrupted());
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, timeout, stdio: ["ignore", "pipe", "pipe"] });
    children.add(child);
    const record = log === undefined ? undefined : openLog(log);
    const out = [];
    const lines = [];
    const take = (line) => {
      record?.write(`${line}\n`);
      if (line.trim() === "") return;
      lines.push(line.trim());
      onLine?.(line.trim());
    };
    createInterface({ input: child.stdout }).on("line", (line) => {
      out.push(line);
      take(line);
    });
    createInterface({ input: child.stderr }).on("line", take);
    const end = (how) => {
      children.delete(child);
      record?.end();
      if (interrupted) return reject(new Interrupted());
      if (how === undefined) return resolve(out.join("\n"));
      const said = tellingLine(lines);
      const where = record === undefined ? "" : ` (its output: ${relative(root, record.path)})`;
      reject(new CommandError(`${command} ${how}${said === undefined ? "" : `, ${said}`}${where}`));
    };
    child.on("error", (error) => end(`does not start, ${error.message}`));
    child.on("close", (code, signal) =>
      end(code === 0 ? undefined : signal ? `was ended by ${signal}` : `failed with code ${code}`),
    );
  });
}

function openLog(name) {
  const dir = join(cache, "logs");
  mkdirSync(dir, { recursive: true });
  return createWriteStream(join(dir, `${name}.log`));
}

/**
 * Ends all children and lets no new one start.
 * @returns {boolean} whether there were any to wait for
 */
export function interruptAll() {
  interrupted = true;
  for (const child of children) {
    child.kill("SIGTERM");
    setTimeout(() => child.kill("SIGKILL"), GRACE).unref();
  }
  return children.size > 0;
}

/** The full path of an executable: on PATH, else in one of `elsewhere`; undefined when nowhere. */
export function find(name, elsewhere = []) {
  const dirs = [...(process.env.PATH ?? "").split(delimiter).filter((it) => it !== ""), ...elsewhere];
  return dirs.map((dir) => join(dir, name)).find(isExecutable);
}

/** Whether a file is there and may be executed. */
export function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
