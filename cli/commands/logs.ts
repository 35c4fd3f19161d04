/** `logs`: logs of PoPs, through Fly's log API (see fly/logs.ts). */
import type { LogEntry } from "../../fly/logs.ts";
import { type CliContext, CliError, type ExitCode, note, print, printJson } from "../context.ts";
import { deployedPops, type Fleet, popOf, readFleet } from "../fleet.ts";
import { createLogReader, followLogs } from "../log-follow.ts";
import {
  type LineFilter,
  type LogLine,
  lineJson,
  lineText,
  matchesFilter,
  parseLine,
  parseSince,
} from "../log-lines.ts";
import { backward, forward, nanosAt } from "../log-reader.ts";
import type { Stack } from "../stack.ts";
import { styled } from "../style.ts";

export interface LogsOptions extends LineFilter {
  follow?: boolean;
  json?: boolean;
  /** As typed: 10m, 2h, or a time. */
  since?: string;
  /** The last N lines. */
  lines?: number;
}

export async function logs(
  context: CliContext,
  stack: Stack,
  name: string | undefined,
  options: LogsOptions,
): Promise<ExitCode> {
  const since = options.since === undefined ? undefined : startOf(options.since, context.clock.now());
  const fleet = await readFleet(stack);
  const pop = name === undefined ? undefined : popOf(fleet, name);
  if (deployedPops(fleet).length === 0)
    throw new CliError(`${fleet.app} has no machine yet, so there are no logs. Deploy it: npx pulumi up --refresh`);
  const read = await createLogReader(context, stack, { fleet, machine: pop?.machine.id });
  const filter = filterOf(fleet, options);
  const show = (line: LogLine) =>
    options.json ? printJson(context, lineJson(line)) : print(context, row(context, line));

  let next: string | undefined;
  if (since !== undefined && options.lines === undefined)
    for await (const { entries, token } of forward(read, nanosAt(since))) {
      for (const line of entries.flatMap(filter.pick)) show(line);
      next = token;
    }
  else {
    const found = await backward(read, { count: options.lines, since, now: context.clock.now(), pick: filter.pick });
    for (const line of found.lines) show(line);
    if (found.stoppedAt)
      note(
        context,
        `Looked back to ${found.stoppedAt.toISOString()} only, because there are too many lines. Narrow it down with a PoP, --process or --since`,
      );
    next = found.token;
  }
  if (!options.follow) {
    if (filter.shown === 0) note(context, filter.nothing());
    return 0;
  }
  return followLogs(context, read, { next, onEntries: (entries) => entries.flatMap(filter.pick).forEach(show) });
}

/** Parses, counts and filters lines. */
function filterOf(fleet: Fleet, wanted: LineFilter) {
  const names = new Map(deployedPops(fleet).map(({ machine, name }) => [machine.id, name]));
  const isChosen = matchesFilter(wanted);
  const processes = new Set<string>();
  let seen = 0;
  const filter = {
    shown: 0,
    pick(entry: LogEntry): LogLine[] {
      const line = parseLine(entry, names.get(entry.instance) ?? null);
      if (line === undefined) return [];
      seen += 1;
      if (line.process !== null) processes.add(line.process);
      if (!isChosen(line)) return [];
      filter.shown += 1;
      return [line];
    },
    /** Why no line is shown. */
    nothing: (): string =>
      seen === 0
        ? "No logs in that time."
        : `None of ${seen} lines matches. Processes with logs: ${[...processes].toSorted().join(", ") || "none"}.`,
  };
  return filter;
}

function startOf(text: string, now: number): number {
  const at = parseSince(text, now);
  if (at !== undefined) return at;
  throw new CliError(
    `logs: --since ${text} is not a time. Expected 90s, 10m, 2h, 7d, or a time such as 2026-03-01T02:00:00Z.`,
    {
      code: 2,
    },
  );
}

const row = (context: CliContext, line: LogLine): string =>
  `${styled(context, "faint", line.time.replace(/\.\d+/, ""))} ${styled(context, "head", line.pop ?? line.machine)} ${lineText(line)}`;
