/** One command line, from arguments to exit code. Nothing is thrown: what went wrong becomes one sentence. */
import { type Command, CommanderError } from "commander";
import { FlyError, withAdvice } from "../providers/fly/errors.ts";
import { type Code, createProgram } from "./program.ts";
import { note, Refusal, type World } from "./world.ts";

export async function run(argv: readonly string[], world: World): Promise<Code> {
  let code: Code = 0;
  const program = createProgram(world, (ended) => {
    code = ended;
  });
  speakThrough(program, world);
  try {
    if (argv.length === 0) {
      program.outputHelp();
      return 0;
    }
    await program.parseAsync([...argv], { from: "user" });
    return code;
  } catch (error) {
    if (world.interrupted.aborted) return 130;
    // Commander has said what it had to say. Help and version are no failures.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    note(world, sentence(error));
    return error instanceof Refusal ? error.code : 1;
  }
}

/** Refused for want of rights is told with what to do; the providers' other advice is for changes, and commands mostly read. */
function sentence(error: unknown): string {
  if (error instanceof FlyError && (error.status === 401 || error.status === 403)) return withAdvice("Fly", error);
  return error instanceof Error ? error.message : String(error);
}

/** Commander would end the process and write where it likes; subcommands inherit neither setting once they are made. */
function speakThrough(command: Command, world: World): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => world.out(text),
    writeErr: (text) => world.err(text),
    outputError: (text, write) => write(text.replace(/^error: /, "fly-pops: ")),
    getOutHasColors: () => false,
    getErrHasColors: () => false,
    getOutHelpWidth: () => world.window?.()?.columns ?? 80,
    getErrHelpWidth: () => world.window?.()?.columns ?? 80,
  });
  for (const child of command.commands) speakThrough(child, world);
}
