/** `fly-pops`: the process's environment for run.ts. */
import { fstatSync } from "node:fs";
import { buffer } from "node:stream/consumers";
import { systemClock } from "../lib/clock.ts";
import { projectDir } from "../local/paths.ts";
import { findProject } from "../stack/project.ts";
import { addRedaction, type CliContext } from "./context.ts";
import { run } from "./run.ts";

const interrupt = new AbortController();
process.once("SIGINT", () => {
  interrupt.abort(new Error("interrupted"));
  // A second Ctrl-C exits immediately.
  process.once("SIGINT", () => process.exit(130));
});
// The reader of a pipe has closed it, as `head` does. This is not an error.
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit(0);
  });

const context: CliContext = {
  env: process.env,
  dir: findProject(process.cwd()) ?? projectDir,
  clock: systemClock,
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  isTerminal: process.stdout.isTTY === true,
  isWatched: process.stderr.isTTY === true,
  input: isFed() ? () => buffer(process.stdin) : undefined,
  window: () => (process.stdout.isTTY ? { columns: process.stdout.columns, rows: process.stdout.rows } : undefined),
  // Loaded on use, because it imports Fly's client.
  resolve: async (name, type) => (await import("./addresses.ts")).recordsOf(name, type, { timeout: 1000, tries: 1 }),
  ask: process.stdin.isTTY && process.stderr.isTTY ? ask : undefined,
  interrupted: interrupt.signal,
  secrets: new Set(),
};
for (const name of ["FLY_API_TOKEN", "FLY_ACCESS_TOKEN"]) addRedaction(context, process.env[name]);

/** Standard input is a pipe, a file or a socket: not a terminal, nor /dev/null. */
function isFed(): boolean {
  try {
    const found = fstatSync(0);
    return found.isFIFO() || found.isFile() || found.isSocket();
  } catch {
    return false; // closed
  }
}

/** Asks on standard error, so that a pipe gets only results. */
async function ask(question: string): Promise<string> {
  const { createInterface } = await import("node:readline/promises");
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await lines.question(question, { signal: interrupt.signal });
  } catch (error) {
    // While readline waits on a terminal, Ctrl-C is a key and raises no signal.
    interrupt.abort(error);
    process.stderr.write("\n");
    throw error;
  } finally {
    lines.close();
  }
}

process.exitCode = await run(process.argv.slice(2), context);
// Open connections and a terminal's input would keep the process alive.
process.stdout.write("", () => process.exit());
