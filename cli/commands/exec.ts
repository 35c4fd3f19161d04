/** `exec`: one program inside a PoP, by the Machines API. What it writes is passed on as it is; so is its exit code. */
import { popOf, readFleet, runIn } from "../fleet.ts";
import type { Stack } from "../stack.ts";
import { Refusal, type World } from "../world.ts";

export async function exec(
  world: World,
  stack: Stack,
  pop: string,
  command: string[],
  { timeout }: { timeout: number },
): Promise<number> {
  if (command.length === 0)
    throw new Refusal(`exec: no program behind ${pop}. As in: npx fly-pops exec ${pop} -- ps`, { code: 2 });
  const fleet = await readFleet(stack);
  const { code, stdout, stderr } = await runIn(fleet, popOf(fleet, pop), command, { seconds: timeout });
  world.out(stdout);
  world.err(stderr);
  return code;
}
