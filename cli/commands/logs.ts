/** `logs`: what PoPs write, by the log call of Fly's other server (providers/fly/logs.ts says which). */
import { sleep } from "../../providers/clock.ts";
import { FlyError } from "../../providers/fly/errors.ts";
import { FlyLogs, type LogEntry, logsEndpoint } from "../../providers/fly/logs.ts";
import { livePops, popOf, readFleet } from "../fleet.ts";
import { isLocal, type Stack } from "../stack.ts";
import { tint } from "../style.ts";
import { type ExitCode, print, printJson, Refusal, type World } from "../world.ts";

export interface LogsOptions {
  follow?: boolean;
  json?: boolean;
}

const pollMs = 1_000;

export async function logs(
  world: World,
  stack: Stack,
  name: string | undefined,
  options: LogsOptions,
): Promise<ExitCode> {
  const fleet = await readFleet(stack);
  const pop = name === undefined ? undefined : popOf(fleet, name);
  const names = new Map(livePops(fleet).map(({ machine, name }) => [machine.id, name]));
  const { endpoint, token } = await stack.settings();
  const source = logsEndpoint(endpoint, (key) => stack.env[key] || undefined);
  const fly = new FlyLogs({ endpoint: source, token, clock: world.clock });
  const tell = (entry: LogEntry) =>
    options.json
      ? printJson(world, { time: entry.timestamp, pop: names.get(entry.instance) ?? null, ...told(entry) })
      : print(world, line(world, entry, names.get(entry.instance) ?? entry.instance));
  let next: string | undefined;
  for (;;) {
    const answer = await fly.read(fleet.app, { instance: pop?.machine.id, token: next }).catch((error: unknown) => {
      throw error instanceof FlyError ? unreadable(error, { app: fleet.app, source, pop, world, stack }) : error;
    });
    for (const entry of answer.entries) tell(entry);
    next = answer.token;
    if (!options.follow) return 0;
    await sleep(world.clock, pollMs, world.interrupted);
  }
}

const told = ({ region, instance, level, message }: LogEntry) => ({ region, machine: instance, level, message });

const line = (world: World, { timestamp, message }: LogEntry, pop: string): string =>
  `${tint(world, "faint", timestamp.replace(/\.\d+/, ""))} ${tint(world, "head", pop)} ${message.trimEnd()}`;

function unreadable(
  error: FlyError,
  of: { app: string; source: string; pop: { machine: { id: string } } | undefined; world: World; stack: Stack },
): Refusal {
  const machine = of.pop ? ` --machine ${of.pop.machine.id}` : "";
  const way = isLocal(of.world, of.stack.name)
    ? "Local Fly's own words: npm run local -- logs"
    : `The Machines API has no logs, so ${of.source} was asked, as flyctl does where it cannot subscribe. flyctl may know another way: fly logs -a ${of.app}${machine}`;
  return new Refusal(`${error.message}. ${way}`, { cause: error });
}
