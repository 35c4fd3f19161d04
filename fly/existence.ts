import type { Clock } from "../lib/clock.ts";
import { ifNotFound, isNotFound } from "./errors.ts";
import { pollUntil, staleReadMs } from "./lag.ts";

/** Whether a machine or volume is not deleted. Deleted ones stay listed for a while, in one of these final states. */
export const isLive = ({ state = "" }: { state?: string | undefined }): boolean =>
  !/^(scheduling_destroy|fork_cleanup|waiting_for_detach|pending_destroy|destroying|destroyed)$/.test(state);

/**
 * Throws if an object that Fly reports as 404 is still listed. Fly briefly returns 404 for existing objects too, so before state forgets an object,
 * a list is read for longer than a read can be stale. `isListed` reads that list; a 404 of it means that the app is gone, and the object with it.
 */
export async function confirmAbsent(
  what: string,
  error: unknown,
  clock: Clock,
  isListed: () => Promise<boolean>,
): Promise<void> {
  if (await isStillListed(clock, isListed))
    throw new Error(`${what}: Fly returned 404 for it but still lists it. Run again.`, { cause: error });
}

/** Whether an object is still listed after longer than a read can be stale. A 404 counts as not listed. */
export async function isStillListed(clock: Clock, isListed: () => Promise<boolean>): Promise<boolean> {
  const vanished = await pollUntil(clock, clock.now() + staleReadMs, async () =>
    (await isListed().catch(ifNotFound(false))) ? undefined : true,
  );
  return vanished === undefined;
}

/**
 * Reads, and believes a 404 only after it was returned for longer than a read can be stale: an object that was just created is not known to all
 * servers.
 */
export async function retryNotFound<T>(clock: Clock, read: () => Promise<T>): Promise<T> {
  let notFound: unknown;
  const found = await pollUntil(clock, clock.now() + staleReadMs, async () => {
    try {
      return { it: await read() };
    } catch (error) {
      if (!isNotFound(error)) throw error;
      notFound = error;
      return undefined;
    }
  });
  if (!found) throw notFound;
  return found.it;
}
