/** `start` and `restart`: PoPs as they are, one after the other, by the rules of an update: leased, verified, routed. */
import { HostUnreachable, withAdvice } from "../../providers/fly/errors.ts";
import { UnhealthyError } from "../../providers/fly/machine-health.ts";
import { type PowerTarget, restartVerified, startVerified } from "../../providers/fly/machine-power.ts";
import { createRolloutGate } from "../../providers/fly/rollout-gate.ts";
import type { Machine } from "../../providers/fly/wire.ts";
import { type Fleet, type LivePop, popOf, readFleet, runIn } from "../fleet.ts";
import type { Stack } from "../stack.ts";
import { type ExitCode, note, Refusal, type World } from "../world.ts";

/** Starts PoPs that do not run. Those that run and are routed are left alone. */
export async function start(world: World, stack: Stack, names: readonly string[]): Promise<ExitCode> {
  const fleet = await readFleet(stack);
  const pops = [...new Set(names)].map((name) => popOf(fleet, name));
  for (const pop of pops) {
    const { machine, name } = pop;
    if (machine.state === "started" && !machine.cordoned) note(world, `${name}: runs already`);
    else {
      const { instance_id } = await carriedOut(world, stack, fleet, pop, "started", startVerified);
      note(world, `${name}: started, version ${instance_id} serves`);
    }
  }
  return 0;
}

/** Restarts a PoP, or one process in it while the others go on. */
export async function restart(
  world: World,
  stack: Stack,
  name: string,
  process: string | undefined,
): Promise<ExitCode> {
  const fleet = await readFleet(stack);
  const pop = popOf(fleet, name);
  if (process === undefined) {
    const { instance_id } = await carriedOut(world, stack, fleet, pop, "restarted", restartVerified);
    note(world, `${name}: restarted, version ${instance_id} serves`);
    return 0;
  }
  const { code, stdout, stderr } = await runIn(fleet, pop, ["/usr/bin/pc", "process", "restart", process]);
  if (code !== 0)
    throw new Refusal(
      `${name}: ${process} was not restarted, process-compose ended with ${code}: ${firstLine(stderr || stdout)} What runs there: npx fly-pops processes ${name}`,
    );
  note(world, `${name}: ${process} is restarted. How it is: npx fly-pops processes ${name}`);
  return 0;
}

/** What Fly or the machine has against it becomes a sentence that says how the PoP is left. */
export async function carriedOut(
  world: World,
  stack: Stack,
  { app, fly }: Fleet,
  { name, machine }: LivePop,
  done: string,
  work: (it: PowerTarget, world: Parameters<typeof startVerified>[1]) => Promise<Machine>,
): Promise<Machine> {
  const hostIsAway = (cause?: unknown) =>
    new Refusal(
      `${name}: not ${done}, its host does not answer. See https://status.flyio.net; if it stays away: npx fly-pops replace ${name}`,
      { cause },
    );
  if (machine.host_status === "unreachable") throw hostIsAway();
  const { timeoutSeconds, drainSeconds } = stack.wanted().rollout;
  const log = (line: string) => note(world, line);
  try {
    const powered = { app, id: machine.id, pop: name, timeoutSeconds, drainSeconds };
    return await work(powered, { fly, clock: world.clock, rollout: createRolloutGate(), log });
  } catch (error) {
    if (error instanceof HostUnreachable) throw hostIsAway(error);
    if (error instanceof UnhealthyError)
      throw new Refusal(
        `${name}: ${done}, but it does not serve, ${error.message}. It was left as it is. What it says: npx fly-pops logs ${name}`,
        { cause: error },
      );
    throw new Refusal(withAdvice(name, error), { cause: error });
  }
}

const firstLine = (text: string): string => {
  const line = text.trim().split("\n")[0] ?? "";
  return line === "" ? "nothing." : `${line.replace(/[.]$/, "")}.`;
};
