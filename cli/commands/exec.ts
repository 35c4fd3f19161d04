/**
 * `exec`: one program inside a PoP, through the Machines API. Its output and exit code are passed on unchanged. Fly responds after the program has exited,
 * so nothing can be streamed in either direction. `console` and `ssh` can stream.
 */

import { type CliContext, CliError, note } from "../context.ts";
import { maxInputBytes, wasInputDropped, withInput } from "../exec-input.ts";
import { popOf, readFleet, runIn } from "../fleet.ts";
import type { Stack } from "../stack.ts";

const quietMs = 2_000;

export async function exec(
  context: CliContext,
  stack: Stack,
  pop: string,
  command: string[],
  { timeout, stdin = true }: { timeout: number; stdin?: boolean },
): Promise<number> {
  if (command.length === 0)
    throw new CliError(`exec: no program after ${pop}. Example: npx fly-pops exec ${pop} -- ps`, { code: 2 });
  const fleet = await readFleet(stack);
  const live = popOf(fleet, pop);
  const input = stdin && context.input ? await readInput(context, pop, context.input) : undefined;
  const cancel = context.isWatched
    ? context.clock.after(quietMs, () =>
        note(
          context,
          `${pop}: ${command[0]} is running. Its output is shown when it has exited. Time limit: ${timeout} s (--timeout).`,
        ),
      )
    : () => {};
  const { command: args, stdin: text } = input ? withInput(command, input) : { command, stdin: undefined };
  const ran = await runIn(fleet, live, args, { seconds: timeout, stdin: text }).finally(cancel);
  if (input && wasInputDropped(ran))
    throw new CliError(
      `${pop}: ${command[0]} was not run, because Fly did not pass on standard input. Use npx fly-pops console ${pop} or npx fly-pops ssh ${pop}, or run it without input: --no-stdin`,
    );
  context.out(ran.stdout);
  context.err(ran.stderr);
  return ran.code;
}

/** Reads all of it, because it is sent in one request. Undefined: empty. The note explains the wait for a pipe that is never closed. */
async function readInput(context: CliContext, pop: string, read: () => Promise<Buffer>): Promise<Buffer | undefined> {
  const cancel = context.clock.after(quietMs, () =>
    note(context, "Reading standard input until it ends. To run the program without it: --no-stdin"),
  );
  const input = await read().finally(cancel);
  if (input.length > maxInputBytes)
    throw new CliError(
      `exec: standard input has ${input.length} bytes, and goes in one request of ${maxInputBytes} at most. Nothing was run. For more: npx fly-pops ssh ${pop} or npx fly-pops console ${pop}`,
    );
  return input.length === 0 ? undefined : input;
}
