/** Follows logs of PoPs through Fly's log API (see fly/logs.ts). */

import { FlyError } from "../fly/errors.ts";
import { FlyLogs, type LogEntry, logsEndpoint } from "../fly/logs.ts";
import { sleep } from "../lib/clock.ts";
import { type CliContext, CliError, note } from "./context.ts";
import type { Fleet } from "./fleet.ts";
import type { ReadPage } from "./log-reader.ts";
import { isLocal, type Stack } from "./stack.ts";
import { withWaitNotices } from "./wait-notices.ts";

const pollMs = 1_000;
const longestPauseMs = 15_000;

/** Retries transient errors, such as an unreachable or overloaded server. Each line is shown once, because the position is kept. */
export async function followLogs(
  context: CliContext,
  read: ReadPage,
  { next, onEntries }: { next: string | undefined; onEntries: (entries: LogEntry[]) => void },
): Promise<never> {
  let lastError: string | undefined;
  let token = next;
  for (let pause = pollMs; ; ) {
    await sleep(context.clock, pause, context.interrupted);
    try {
      const page = await read(token);
      if (lastError !== undefined) note(context, "Logs are available again.");
      onEntries(page.entries);
      token = page.token;
      [lastError, pause] = [undefined, pollMs];
    } catch (error) {
      if (context.interrupted.aborted || !(error instanceof CliError) || isPermanent(error.cause)) throw error;
      // Report each new reason once.
      if (lastError !== error.message) note(context, `${error.message} Retrying until Ctrl-C.`);
      lastError = error.message;
      pause = Math.min(pause * 2, longestPauseMs);
    }
  }
}

/** Errors that do not pass: an invalid token, or a deleted app. */
const isPermanent = (error: unknown): boolean =>
  !(error instanceof FlyError) || [401, 403, 404].includes(error.status ?? 0);

export async function createLogReader(
  context: CliContext,
  stack: Stack,
  { fleet: { app }, machine }: { fleet: Fleet; machine: string | undefined },
): Promise<ReadPage> {
  const { endpoint, token } = await stack.settings();
  const source = logsEndpoint(endpoint, (key) => stack.env[key] || undefined);
  const fly = withWaitNotices(
    context,
    `the logs at ${source}`,
    new FlyLogs({ endpoint: source, token, clock: context.clock }),
  );
  const way = isLocal(context, stack.name)
    ? "Local Fly's own logs: npm run local -- logs"
    : `The Machines API has no logs, so this uses ${source}, as flyctl does when it cannot subscribe. Alternatively: fly logs -a ${app}${machine ? ` --machine ${machine}` : ""}`;
  return (from) =>
    fly.read(app, { instance: machine, token: from }).catch((error: unknown) => {
      throw error instanceof FlyError ? new CliError(`${error.message}. ${way}`, { cause: error }) : error;
    });
}
