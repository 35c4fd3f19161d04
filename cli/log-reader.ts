/** Which pages of Fly's log are read, and in what order. Fly tells the newest hundred lines, or the first hundred after a time. */
import { type LogEntry, nanosOf } from "../providers/fly/logs.ts";

export interface Page {
  entries: LogEntry[];
  /** Where the next page begins. */
  token: string | undefined;
}

/** One page: the newest without a token. */
export type ReadPage = (token?: string) => Promise<Page>;

/** Nanoseconds since 1970, as Fly's tokens are. */
type Nanos = bigint;

export const nanosAt = (ms: number): Nanos => BigInt(Math.floor(ms)) * 1_000_000n;

/** Pages from a time on until nothing newer is there, or `until` is reached. The last one's token goes on from there. */
export async function* forward(read: ReadPage, from: Nanos, until?: Nanos): AsyncGenerator<Page> {
  // A token is the time of a line that is known already.
  let token: string | undefined = String(from - 1n);
  for (;;) {
    const page: Page = await read(token);
    yield { entries: page.entries.filter(between(from, until)), token: page.token };
    const last = page.entries.at(-1);
    if (last === undefined || page.token === token || !between(undefined, until)(last)) return;
    token = page.token;
  }
}

/** Without a time that can be read a line is no reason to stop. */
const between =
  (from: Nanos | undefined, until: Nanos | undefined) =>
  ({ timestamp }: LogEntry): boolean => {
    const at = nanosOf(timestamp);
    return at === undefined || ((from === undefined || at >= from) && (until === undefined || at < until));
  };

/** Pages at most for one look back: each costs a call. */
const maxPages = 60;
/** Fly keeps about a week. */
const retentionMs = 7 * 86_400_000;
const firstWindow = nanosAt(60_000);

export interface BackwardResult<T> {
  lines: T[];
  /** Where what comes later begins. */
  token: string | undefined;
  /** The search ended here, as there were too many lines. Absent: it went as far as was asked. */
  stoppedAt?: Date;
}

/**
 * The newest `count` of what `pick` makes of entries (default: as many as Fly tells at once), no older than `since` in ms. By windows of time that grow, as pages go forward only.
 */
export async function backward<T>(
  read: ReadPage,
  {
    count,
    since,
    now,
    pick,
  }: { count?: number | undefined; since?: number | undefined; now: number; pick: (entry: LogEntry) => T[] },
): Promise<BackwardResult<T>> {
  const floor = nanosAt(since ?? now - retentionMs);
  const { entries, token } = await read();
  let lines = entries.filter(between(floor, undefined)).flatMap(pick);
  const enough = count ?? entries.length;
  let oldest = nanosOf(entries[0]?.timestamp ?? "") ?? nanosAt(now);
  let pages = 0;
  for (let window = firstWindow; lines.length < enough && oldest > floor; window *= 4n) {
    const from = oldest - window > floor ? oldest - window : floor;
    const older: T[] = [];
    for await (const page of forward(read, from, oldest)) {
      older.push(...page.entries.flatMap(pick));
      pages += 1;
      // What was read of this window is left out: between it and the lines above would be a gap that nobody sees.
      if (pages === maxPages) return { lines, token, stoppedAt: new Date(Number(oldest / 1_000_000n)) };
    }
    lines = [...older, ...lines];
    oldest = from;
  }
  return { lines: lines.slice(-enough), token };
}
