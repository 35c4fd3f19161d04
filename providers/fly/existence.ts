import type { Clock } from "../clock.ts";
import { ifNotFound, isNotFound } from "./errors.ts";
import { pollUntil, staleReadMs } from "./lag.ts";

/** Deleted machines and volumes stay listed for a while, in states from which they do not come back. */
export const isLive = ({ state = "" }: { state?: string | undefined }): boolean =>
  !/^(scheduling_destroy|fork_cleanup|waiting_for_detach|pending_destroy|destroying|destroyed)$/.test(state);

/**
 * Fly says 404 of living objects too, for moments. Before state forgets one, a list is asked: what it shows for longer than a read can be late is
 * not gone. `stillThere` answers by such a list; when the app itself is gone, so is what was in it.
 */
export async function confirmAbsent(
  what: string,
  error: unknown,
  clock: Clock,
  isListed: () => Promise<boolean>,
): Promise<void> {
  if (await isStillListed(clock, isListed))
    throw new Error(`${what}: Fly says that it is gone, and lists it all the same. Run again.`, { cause: error });
}

/** Whether something that is said to be gone goes on being shown for longer than a read can be late. A 404 is not being shown. */
export async function isStillListed(clock: Clock, isListed: () => Promise<boolean>): Promise<boolean> {
  const vanished = await pollUntil(clock, clock.now() + staleReadMs, async () =>
    (await isListed().catch(ifNotFound(false))) ? undefined : true,
  );
  return vanished === undefined;
}

/** What `look` finds. Its 404 counts once it came for longer than a read can be late: what was just made is not known everywhere. */
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
