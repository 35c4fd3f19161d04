import type { Clock } from "../clock.ts";
import { isGone, whenGone } from "./errors.ts";
import { lookUntil, staleMs } from "./lag.ts";

/** Deleted machines and volumes stay listed for a while, in states from which they do not come back. */
export const isLive = ({ state = "" }: { state?: string | undefined }): boolean =>
  !/^(scheduling_destroy|fork_cleanup|waiting_for_detach|pending_destroy|destroying|destroyed)$/.test(state);

/**
 * Fly says 404 of living objects too, for moments. Before state forgets one, a list is asked: what it shows for longer than a read can be late is
 * not gone. `stillThere` answers by such a list; when the app itself is gone, so is what was in it.
 */
export async function confirmGone(
  what: string,
  error: unknown,
  clock: Clock,
  stillThere: () => Promise<boolean>,
): Promise<void> {
  if (await isShownStill(clock, stillThere))
    throw new Error(`${what}: Fly says that it is gone, and lists it all the same. Run again.`, { cause: error });
}

/** Whether something that is said to be gone goes on being shown for longer than a read can be late. A 404 is not being shown. */
export async function isShownStill(clock: Clock, isShown: () => Promise<boolean>): Promise<boolean> {
  const vanished = await lookUntil(clock, clock.now() + staleMs, async () =>
    (await isShown().catch(whenGone(false))) ? undefined : true,
  );
  return vanished === undefined;
}

/** What `look` finds. Its 404 counts once it came for longer than a read can be late: what was just made is not known everywhere. */
export async function untilGone<T>(clock: Clock, look: () => Promise<T>): Promise<T> {
  let gone: unknown;
  const found = await lookUntil(clock, clock.now() + staleMs, async () => {
    try {
      return { it: await look() };
    } catch (error) {
      if (!isGone(error)) throw error;
      gone = error;
      return undefined;
    }
  });
  if (!found) throw gone;
  return found.it;
}
