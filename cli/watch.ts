/**
 * Refreshes until Ctrl-C and survives errors: the last output stays, with the error and its time. On a terminal it uses the alternate screen, with title and
 * clock, fitted to the window. Elsewhere it prints one output after the other.
 */
import { sleep } from "../lib/clock.ts";
import { redact } from "../lib/redact.ts";
import { type CliContext, note, print } from "./context.ts";
import { wrap } from "./fit.ts";
import { clockText } from "./pop-status.ts";
import { styled } from "./style.ts";

export interface WatchOptions {
  /** Shown next to the clock. */
  title: string;
  /** Prints one line per refresh without screen control, for JSON. */
  plain: boolean;
  intervalMs: number;
}

const screen = { enter: "\x1b[?1049h\x1b[?25l", leave: "\x1b[?25h\x1b[?1049l", home: "\x1b[H", below: "\x1b[J" };
const lineEnd = "\x1b[K";

export async function watch(
  context: CliContext,
  { title, plain, intervalMs }: WatchOptions,
  fetchText: () => Promise<string>,
): Promise<never> {
  const painted = context.isTerminal && !plain;
  let last = "";
  let trouble: { since: number; why: string } | undefined;
  if (painted) context.out(screen.enter);
  try {
    for (;;) {
      if (painted && last === "" && !trouble) paint("Asking Fly ...");
      try {
        last = await untilInterrupted(context.interrupted, fetchText());
        trouble = undefined;
      } catch (error) {
        if (context.interrupted.aborted) throw error;
        const why = error instanceof Error ? error.message : String(error);
        trouble = { since: trouble?.since ?? context.clock.now(), why };
      }
      show();
      await sleep(context.clock, intervalMs, context.interrupted);
    }
  } finally {
    if (painted) context.out(screen.leave);
  }

  function show(): void {
    const since = trouble && `since ${timeText(trouble.since)}: ${trouble.why}`;
    if (painted) paint([...(since ? [styled(context, "bad", since), ""] : []), last].join("\n"));
    else if (since) note(context, since);
    else print(context, plain ? last : `${last}\n`);
  }

  function paint(text: string): void {
    const { columns, rows } = context.window?.() ?? { columns: 80, rows: 24 };
    const head = `${title}  ${timeText(context.clock.now())}`;
    const lines = redact(`${head}\n\n${text}`, [...context.secrets])
      .split("\n")
      .flatMap((line) => wrap(line, columns).split("\n"));
    const kept =
      lines.length < rows ? lines : [...lines.slice(0, rows - 2), `... ${lines.length - rows + 2} lines more`];
    // Overwrite line by line, then erase what is below: no flicker, and no remains of longer lines.
    context.out(screen.home + kept.map((line) => line + lineEnd).join("\r\n") + screen.below);
  }
}

const timeText = (ms: number): string => clockText(new Date(ms).toISOString());

/** Ctrl-C does not wait for a pending call. */
function untilInterrupted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = () => reject(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  work.catch(() => {});
  return Promise.race([work, promise]).finally(() => signal.removeEventListener("abort", stop));
}
