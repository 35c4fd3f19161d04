/** Starts again what ends by itself. */
import { type Clock, sleep } from "./clock.ts";

export interface Closable {
  close(): Promise<void>;
}

export interface KeepOptions {
  clock: Clock;
  /** It ended, and is started again. */
  ended: () => void;
  /** It could not be started again, and is tried in so many milliseconds. */
  failed: (error: unknown, nextMs: number) => void;
}

const firstMs = 1000;
const mostMs = 60_000;

/**
 * The first start is the caller's: its failure is thrown. From then on it is started a second after it ended, and when that fails less and less often, as an
 * engine that is restarted ends all containers and then does not answer for a while.
 * @param start takes what is to be called when it ends unasked, once it has been started
 */
export async function keepRunning(
  start: (ended: () => void) => Promise<Closable>,
  { clock, ended, failed }: KeepOptions,
): Promise<Closable> {
  const closing = new AbortController();
  let current: Promise<Closable | undefined>;
  const begin = () =>
    start(() => {
      if (closing.signal.aborted) return;
      ended();
      current = again(firstMs);
    });
  async function again(waitMs: number): Promise<Closable | undefined> {
    await sleep(clock, waitMs, closing.signal).catch(() => undefined);
    if (closing.signal.aborted) return undefined;
    try {
      return await begin();
    } catch (error) {
      const nextMs = Math.min(2 * waitMs, mostMs);
      failed(error, nextMs);
      return again(nextMs);
    }
  }
  current = begin();
  await current;
  return {
    async close() {
      closing.abort();
      await (await current)?.close();
    },
  };
}
