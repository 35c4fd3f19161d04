/**
 * `exec`: one program inside a PoP, by the Machines API. What it writes is passed on as it is; so is its exit code. Fly answers once the program has ended:
 * nothing can be streamed either way. `console` and `ssh` can.
 */
import { longestInput, wasLeftOut, withInput } from "../exec-input.ts";
import { popOf, readFleet, runIn } from "../fleet.ts";
import type { Stack } from "../stack.ts";
import { note, Refusal, type World } from "../world.ts";

const quietMs = 2_000;

export async function exec(
  world: World,
  stack: Stack,
  pop: string,
  command: string[],
  { timeout, stdin = true }: { timeout: number; stdin?: boolean },
): Promise<number> {
  if (command.length === 0)
    throw new Refusal(`exec: no program behind ${pop}. As in: npx fly-pops exec ${pop} -- ps`, { code: 2 });
  const fleet = await readFleet(stack);
  const live = popOf(fleet, pop);
  const input = stdin && world.input ? await readInput(world, pop, world.input) : undefined;
  const cancel = world.isWatched
    ? world.clock.after(quietMs, () =>
        note(
          world,
          `${pop}: ${command[0]} runs. What it writes comes when it has ended; after ${timeout} s it is given up (--timeout).`,
        ),
      )
    : () => {};
  const { command: words, stdin: text } = input ? withInput(command, input) : { command, stdin: undefined };
  const ran = await runIn(fleet, live, words, { seconds: timeout, stdin: text }).finally(cancel);
  if (input && wasLeftOut(ran))
    throw new Refusal(
      `${pop}: ${command[0]} was not run, as Fly did not pass standard input on. Do it by npx fly-pops console ${pop} or npx fly-pops ssh ${pop}, or without input: --no-stdin`,
    );
  world.out(ran.stdout);
  world.err(ran.stderr);
  return ran.code;
}

/** All of it, as it goes in one request; undefined when there is none. A pipe that nobody closes would be waited for in silence. */
async function readInput(world: World, pop: string, read: () => Promise<Buffer>): Promise<Buffer | undefined> {
  const cancel = world.clock.after(quietMs, () =>
    note(world, "Reading standard input to its end. To run the program without it: --no-stdin"),
  );
  const input = await read().finally(cancel);
  if (input.length > longestInput)
    throw new Refusal(
      `exec: standard input has ${input.length} bytes, and goes in one request of ${longestInput} at most. Nothing was run. For more: npx fly-pops ssh ${pop} or npx fly-pops console ${pop}`,
    );
  return input.length === 0 ? undefined : input;
}
