import { setTimeout } from "node:timers/promises";

interface Options {
  /** Fails after these. Default: 20. */
  seconds?: number;
  /** Milliseconds between two polls. Default: 100. */
  everyMs?: number;
  /** What is waited for, in the error. Default: the source of `isExpected`. */
  what?: string;
  /** A poll that rejects is one that has not seen what is expected. Absent: `until` rejects with its error. */
  retriesErrors?: boolean;
}

/**
 * Polls until the value is as expected, and returns it. The error says what was waited for, and the last value or error seen.
 *
 * @example await until(() => health(pop), (seen) => seen?.report.status === "ok", { seconds: 60 })
 */
export async function until<T>(
  poll: () => Promise<T> | T,
  isExpected: (seen: T) => boolean,
  { seconds = 20, everyMs = 100, what = String(isExpected), retriesErrors = false }: Options = {},
): Promise<T> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    let last: string | undefined;
    try {
      const seen = await poll();
      if (isExpected(seen)) return seen;
      last = JSON.stringify(seen);
    } catch (error) {
      if (!retriesErrors) throw error;
      last = String(error);
    }
    if (performance.now() > end) throw new Error(`not within ${seconds} s: ${what}\nlast seen: ${last}`);
    await setTimeout(everyMs);
  }
}
