/** `start` and `restart`: start PoPs without changing them, one after the other, with the same safety as an update: lease, health checks, routing. */
import { HostUnreachable, withAdvice } from "../../fly/errors.ts";
import { UnhealthyError } from "../../fly/machine-health.ts";
import type { Machine } from "../../fly/wire.ts";
import { type PowerTarget, restartVerified, startVerified } from "../../providers/fly/machine-power.ts";
import { createRolloutGate } from "../../providers/rollout-gate.ts";
import { type CliContext, CliError, type ExitCode, note } from "../context.ts";
import { type DeployedPop, type Fleet, popOf, readFleet, runIn } from "../fleet.ts";
import type { Stack } from "../stack.ts";

/** Starts stopped PoPs. PoPs that are running and in routing are left alone. */
export async function start(context: CliContext, stack: Stack, names: readonly string[]): Promise<ExitCode> {
  const fleet = await readFleet(stack);
  const pops = [...new Set(names)].map((name) => popOf(fleet, name));
  for (const pop of pops) {
    const { machine, name } = pop;
    if (machine.state === "started" && !machine.cordoned) note(context, `${name}: already running`);
    else {
      const { instance_id } = await runPowerAction(context, stack, fleet, pop, "started", startVerified);
      note(context, `${name}: started, version ${instance_id} is healthy`);
    }
  }
  return 0;
}

/** Restarts a PoP, or a single process in it. */
export async function restart(
  context: CliContext,
  stack: Stack,
  name: string,
  process: string | undefined,
): Promise<ExitCode> {
  const fleet = await readFleet(stack);
  const pop = popOf(fleet, name);
  if (process === undefined) {
    const { instance_id } = await runPowerAction(context, stack, fleet, pop, "restarted", restartVerified);
    note(context, `${name}: restarted, version ${instance_id} is healthy`);
    return 0;
  }
  const { code, stdout, stderr } = await runIn(fleet, pop, ["/usr/bin/pc", "process", "restart", process]);
  if (code !== 0)
    throw new CliError(
      `${name}: ${process} was not restarted, process-compose exited with ${code}: ${firstLine(stderr || stdout)} List its processes: npx fly-pops processes ${name}`,
    );
  note(context, `${name}: ${process} was restarted. Check it: npx fly-pops processes ${name}`);
  return 0;
}

/** Runs a power operation and turns its failures into messages that say in which state the PoP was left. */
export async function runPowerAction(
  context: CliContext,
  stack: Stack,
  { app, fly }: Fleet,
  { name, machine }: DeployedPop,
  done: string,
  work: (it: PowerTarget, context: Parameters<typeof startVerified>[1]) => Promise<Machine>,
): Promise<Machine> {
  const hostIsAway = (cause?: unknown) =>
    new CliError(
      `${name}: not ${done}, because its host does not respond. See https://status.flyio.net. If it does not come back: npx fly-pops replace ${name}`,
      { cause },
    );
  if (machine.host_status === "unreachable") throw hostIsAway();
  const { timeoutSeconds, drainSeconds } = stack.lenientConfig().rollout;
  const log = (line: string) => note(context, line);
  try {
    const powered = { app, id: machine.id, pop: name, timeoutSeconds, drainSeconds };
    return await work(powered, { fly, clock: context.clock, rollout: createRolloutGate(), log });
  } catch (error) {
    if (error instanceof HostUnreachable) throw hostIsAway(error);
    if (error instanceof UnhealthyError)
      throw new CliError(
        `${name}: ${done}, but it is not healthy: ${error.message}. It was left as it is. See its logs: npx fly-pops logs ${name}`,
        { cause: error },
      );
    throw new CliError(withAdvice(name, error), { cause: error });
  }
}

const firstLine = (text: string): string => {
  const line = text.trim().split("\n")[0] ?? "";
  return line === "" ? "nothing." : `${line.replace(/[.]$/, "")}.`;
};
