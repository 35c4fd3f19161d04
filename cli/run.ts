/** Runs one command line and returns its exit code. Never throws: errors are printed. */
import { type Command, CommanderError } from "commander";
import { FlyError, withAdvice } from "../fly/errors.ts";
import { type CliContext, CliError, note } from "./context.ts";
import { type Code, createProgram } from "./program.ts";

export async function run(argv: readonly string[], context: CliContext): Promise<Code> {
  let code: Code = 0;
  const program = createProgram(context, (ended) => {
    code = ended;
  });
  redirectOutput(program, context);
  try {
    if (argv.length === 0) {
      program.outputHelp();
      return 0;
    }
    await program.parseAsync([...argv], { from: "user" });
    return code;
  } catch (error) {
    if (context.interrupted.aborted) return 130;
    // Commander has printed its message. Help and version are not errors.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    note(context, sentence(error));
    return error instanceof CliError ? error.code : 1;
  }
}

/** Missing permissions are reported with advice. The providers' other advice is about changes, while most commands only read. */
function sentence(error: unknown): string {
  if (error instanceof FlyError && (error.status === 401 || error.status === 403)) return withAdvice("Fly", error);
  return error instanceof Error ? error.message : String(error);
}

/** Keeps Commander from exiting the process and writing to its streams. Existing subcommands do not inherit these settings. */
function redirectOutput(command: Command, context: CliContext): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => context.out(text),
    writeErr: (text) => context.err(text),
    outputError: (text, write) => write(text.replace(/^error: /, "fly-pops: ")),
    getOutHasColors: () => false,
    getErrHasColors: () => false,
    getOutHelpWidth: () => context.window?.()?.columns ?? 80,
    getErrHelpWidth: () => context.window?.()?.columns ?? 80,
  });
  for (const child of command.commands) redirectOutput(child, context);
}
