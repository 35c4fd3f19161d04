/** `tail`: follows requests in nginx's access log. A request appears about two seconds after its end: nginx buffers lines for one second, Fly for another. */
import type { LogEntry } from "../../fly/logs.ts";
import { type CliContext, CliError, type ExitCode, note, print, printJson } from "../context.ts";
import { deployedPops, popOf, readFleet } from "../fleet.ts";
import { createLogReader, followLogs } from "../log-follow.ts";
import { parseLine } from "../log-lines.ts";
import { parseRequest, type Request, type RequestFilter, requestMatcher } from "../requests.ts";
import { siteHostMatcher } from "../site-by-name.ts";
import type { Stack } from "../stack.ts";
import { type Style, styled } from "../style.ts";

export interface TailOptions extends Omit<RequestFilter, "isHost"> {
  site?: string;
  json?: boolean;
}

/** Fly returns a hundred lines per call. Above that rate, the output lags more and more. */
const lateMs = 30_000;

export async function tail(
  context: CliContext,
  stack: Stack,
  name: string | undefined,
  options: TailOptions,
): Promise<ExitCode> {
  const isHost = options.site === undefined ? undefined : siteHostMatcher(stack, options.site);
  const fleet = await readFleet(stack);
  const pops = name === undefined ? deployedPops(fleet) : [popOf(fleet, name)];
  if (pops.length === 0)
    throw new CliError(`${fleet.app} has no machine yet, so no site is served. Deploy it: npx pulumi up --refresh`);
  const silent = pops.filter(({ machine }) => machine.state !== "started" || machine.host_status === "unreachable");
  for (const { name, machine } of silent)
    note(
      context,
      `${name}: ${machine.host_status === "unreachable" ? "its host does not respond" : `its machine is ${machine.state}`}, so it sends no logs.`,
    );
  const names = new Map(deployedPops(fleet).map(({ machine, name }) => [machine.id, name]));
  const isChosen = requestMatcher({ ...options, ...(isHost && { isHost }) });
  const isLate = once(() =>
    note(
      context,
      "There are more lines than Fly returns, so the output is delayed. Follow one PoP: npx fly-pops tail POP",
    ),
  );
  const read = await createLogReader(context, stack, {
    fleet,
    machine: name === undefined ? undefined : pops[0]?.machine.id,
  });
  const show = (entries: LogEntry[]) => {
    for (const entry of entries) {
      const line = parseLine(entry, names.get(entry.instance) ?? null);
      const request = line && parseRequest(line);
      if (request && isChosen(request))
        if (options.json) printJson(context, request);
        else print(context, row(context, request));
    }
    if (context.clock.now() - Date.parse(entries.at(-1)?.timestamp ?? "") > lateMs) isLate();
  };
  // Skip earlier lines: those are for `logs`.
  const { token } = await read();
  return followLogs(context, read, { next: token, onEntries: show });
}

function row(context: CliContext, { time, pop, status, seconds, cache, method, host, uri, client }: Request): string {
  const tone: Style | undefined = status >= 500 ? "bad" : status >= 400 ? "warning" : undefined;
  return [
    styled(context, "faint", time.slice(11, 19)),
    styled(context, "head", pop ?? "-"),
    styled(context, tone, String(status)),
    `${Math.round(seconds * 1000)} ms`.padStart(8),
    (cache || "-").padEnd(7),
    `${method} ${host}${uri}`,
    styled(context, "faint", client),
  ].join(" ");
}

function once(work: () => void): () => void {
  let isDone = false;
  return () => {
    if (!isDone) work();
    isDone = true;
  };
}
