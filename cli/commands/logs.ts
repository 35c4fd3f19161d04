/** `logs`: what PoPs write, by the log call of Fly's other server (providers/fly/logs.ts says which). */
import type { LogEntry } from "../../providers/fly/logs.ts";
import { type Fleet, livePops, popOf, readFleet } from "../fleet.ts";
import { follow, reader } from "../log-follow.ts";
import { isWanted, jsonOf, type LogLine, lineOf, sinceOf, textOf, type Wanted } from "../log-lines.ts";
import { backward, forward, nanosAt } from "../log-reader.ts";
import type { Stack } from "../stack.ts";
import { tint } from "../style.ts";
import { type ExitCode, note, print, printJson, Refusal, type World } from "../world.ts";

export interface LogsOptions extends Wanted {
  follow?: boolean;
  json?: boolean;
  /** As typed: 10m, 2h, or a time. */
  since?: string;
  /** The newest so many. */
  lines?: number;
}

export async function logs(
  world: World,
  stack: Stack,
  name: string | undefined,
  options: LogsOptions,
): Promise<ExitCode> {
  const since = options.since === undefined ? undefined : startOf(options.since, world.clock.now());
  const fleet = await readFleet(stack);
  const pop = name === undefined ? undefined : popOf(fleet, name);
  if (livePops(fleet).length === 0)
    throw new Refusal(`${fleet.app} has no machine yet, so nothing was written. Deploy it: npx pulumi up --refresh`);
  const read = await reader(world, stack, { fleet, machine: pop?.machine.id });
  const filter = filterOf(fleet, options);
  const show = (line: LogLine) => (options.json ? printJson(world, jsonOf(line)) : print(world, row(world, line)));

  let next: string | undefined;
  if (since !== undefined && options.lines === undefined)
    for await (const { entries, token } of forward(read, nanosAt(since))) {
      for (const line of entries.flatMap(filter.pick)) show(line);
      next = token;
    }
  else {
    const found = await backward(read, { count: options.lines, since, now: world.clock.now(), pick: filter.pick });
    for (const line of found.lines) show(line);
    if (found.stoppedAt)
      note(
        world,
        `Looked back to ${found.stoppedAt.toISOString()} only, as there are many lines. Say more: a PoP, --process, --since`,
      );
    next = found.token;
  }
  if (!options.follow) {
    if (filter.shown === 0) note(world, filter.nothing());
    return 0;
  }
  return follow(world, read, { next, onEntries: (entries) => entries.flatMap(filter.pick).forEach(show) });
}

/** Parses, counts and chooses. */
function filterOf(fleet: Fleet, wanted: Wanted) {
  const names = new Map(livePops(fleet).map(({ machine, name }) => [machine.id, name]));
  const isChosen = isWanted(wanted);
  const processes = new Set<string>();
  let seen = 0;
  const filter = {
    shown: 0,
    pick(entry: LogEntry): LogLine[] {
      const line = lineOf(entry, names.get(entry.instance) ?? null);
      if (line === undefined) return [];
      seen += 1;
      if (line.process !== null) processes.add(line.process);
      if (!isChosen(line)) return [];
      filter.shown += 1;
      return [line];
    },
    /** Why there is nothing to see. */
    nothing: (): string =>
      seen === 0
        ? "Nothing was written in that time."
        : `None of ${seen} lines is asked for. Processes that wrote: ${[...processes].toSorted().join(", ") || "none"}.`,
  };
  return filter;
}

function startOf(text: string, now: number): number {
  const at = sinceOf(text, now);
  if (at !== undefined) return at;
  throw new Refusal(`logs: --since ${text} is no time. It takes 90s, 10m, 2h, 7d, or a time as 2026-03-01T02:00:00Z.`, {
    code: 2,
  });
}

const row = (world: World, line: LogLine): string =>
  `${tint(world, "faint", line.time.replace(/\.\d+/, ""))} ${tint(world, "head", line.pop ?? line.machine)} ${textOf(line)}`;
