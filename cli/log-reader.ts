/** Reads pages of Fly's logs. Fly returns the newest hundred lines, or the first hundred after a time. */
import { type LogEntry, nanosOf } from "../fly/logs.ts";

export interface Page {
  entries: LogEntry[];
  /** Start of the next page. */
  token: string | undefined;
}

/** Reads one page. Without a token: the newest. */
export type ReadPage = (token?: string) => Promise<Page>;

/** Nanoseconds since 1970, as Fly's tokens are. */
type Nanos = bigint;

export const nanosAt = (ms: number): Nanos => BigInt(Math.floor(ms)) * 1_000_000n;

/** Pages from a time until there is nothing newer, or until `until`. The last page's token continues from there. */
export async function* forward(read: ReadPage, from: Nanos, until?: Nanos): AsyncGenerator<Page> {
  // A token is the time of the last known line.
  let token: string | undefined = String(from - 1n);
  for (;;) {
    const page: Page = await read(token);
    yield { entries: page.entries.filter(between(from, until)), token: page.token };
    const last = page.entries.at(-1);
    if (last === undefined || page.token === token || !between(undefined, until)(last)) return;
    token = page.token;
  }
}

/** A line without a valid time does not end the search. */
const between =
  (from: Nanos | undefined, until: Nanos | undefined) =>
  ({ timestamp }: LogEntry): boolean => {
    const at = nanosOf(timestamp);
    return at === undefined || ((from === undefined || at >= from) && (until === undefined || at < until));
  };

/** Maximum pages for reading backward. Each costs a call. */
const maxPages = 60;
/** Fly keeps about a week. */
const retentionMs = 7 * 86_400_000;
const firstWindow = nanosAt(60_000);

export interface BackwardResult<T> {
  lines: T[];
  /** Start of later lines. */
  token: string | undefined;
  /** The search stopped here because there were too many lines. Absent: it was complete. */
  stoppedAt?: Date;
}

/**
 * The newest `count` lines that `pick` returns (default: as many as Fly returns in a page), no older than `since` in ms. Reads growing windows of time,
 * because pages only go forward.
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
      // Discard this window: between its lines and those above there would be an invisible gap.
      if (pages === maxPages) return { lines, token, stoppedAt: new Date(Number(oldest / 1_000_000n)) };
    }
    lines = [...older, ...lines];
    oldest = from;
  }
  return { lines: lines.slice(-enough), token };
}
