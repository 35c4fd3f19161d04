/** `tail`: requests as PoPs answer them, from nginx's access log. A request shows two seconds after its end or so: nginx collects lines for one, Fly for another. */
import type { LogEntry } from "../../providers/fly/logs.ts";
import { livePops, popOf, readFleet } from "../fleet.ts";
import { follow, reader } from "../log-follow.ts";
import { lineOf } from "../log-lines.ts";
import { isAskedFor, type Request, type RequestFilter, requestOf } from "../requests.ts";
import { hostsOf } from "../site-of.ts";
import type { Stack } from "../stack.ts";
import { type Tone, tint } from "../style.ts";
import { type ExitCode, note, print, printJson, Refusal, type World } from "../world.ts";

export interface TailOptions extends Omit<RequestFilter, "isHost"> {
  site?: string;
  json?: boolean;
}

/** Fly hands out a hundred lines a call: past that rate lines are shown later and later. */
const lateMs = 30_000;

export async function tail(
  world: World,
  stack: Stack,
  name: string | undefined,
  options: TailOptions,
): Promise<ExitCode> {
  const isHost = options.site === undefined ? undefined : hostsOf(stack, options.site);
  const fleet = await readFleet(stack);
  const pops = name === undefined ? livePops(fleet) : [popOf(fleet, name)];
  if (pops.length === 0)
    throw new Refusal(`${fleet.app} has no machine yet, so nobody is served. Deploy it: npx pulumi up --refresh`);
  const silent = pops.filter(({ machine }) => machine.state !== "started" || machine.host_status === "unreachable");
  for (const { name, machine } of silent)
    note(
      world,
      `${name}: ${machine.host_status === "unreachable" ? "its host does not answer" : `its machine is ${machine.state}`}, so nothing comes from it.`,
    );
  const names = new Map(livePops(fleet).map(({ machine, name }) => [machine.id, name]));
  const isChosen = isAskedFor({ ...options, ...(isHost && { isHost }) });
  const isLate = once(() =>
    note(world, "More is written than Fly hands out, so what is shown is late. Ask for less: npx fly-pops tail POP"),
  );
  const read = await reader(world, stack, { fleet, machine: name === undefined ? undefined : pops[0]?.machine.id });
  const show = (entries: LogEntry[]) => {
    for (const entry of entries) {
      const line = lineOf(entry, names.get(entry.instance) ?? null);
      const request = line && requestOf(line);
      if (request && isChosen(request))
        if (options.json) printJson(world, request);
        else print(world, row(world, request));
    }
    if (world.clock.now() - Date.parse(entries.at(-1)?.timestamp ?? "") > lateMs) isLate();
  };
  // What was written before is `logs`'.
  const { token } = await read();
  return follow(world, read, { next: token, onEntries: show });
}

function row(world: World, { time, pop, status, seconds, cache, method, host, uri, client }: Request): string {
  const tone: Tone | undefined = status >= 500 ? "bad" : status >= 400 ? "warning" : undefined;
  return [
    tint(world, "faint", time.slice(11, 19)),
    tint(world, "head", pop ?? "-"),
    tint(world, tone, String(status)),
    `${Math.round(seconds * 1000)} ms`.padStart(8),
    (cache || "-").padEnd(7),
    `${method} ${host}${uri}`,
    tint(world, "faint", client),
  ].join(" ");
}

function once(work: () => void): () => void {
  let isDone = false;
  return () => {
    if (!isDone) work();
    isDone = true;
  };
}
