/**
 * How far Fly's reads and deeds may lie behind what was asked of it, and the patience that follows from it. Its API servers keep a copy of the
 * world each and hear of writes by gossip: https://fly.io/infra-log/ (flaps affinity, Corrosion), flyctl's internal/command/machine/wait.go.
 */
import { type Clock, sleep } from "../clock.ts";

/** A read may show what was before a write for so long. What it shows for longer is so. */
export const staleReadMs = 15_000;
/** A write whose answer was lost may take effect so long after it was sent: Fly's own proxy gives up after 60 s, and what it gave up may go on. */
export const lateWriteMs = 90_000;
/** A new app may be unknown, or its token unwelcome, below itself for so long. */
export const newAppMs = 30_000;
/** The answer to a write is waited for longer than Fly's own proxy waits: a deed that was given up would take effect after we said it did not. */
export const writeTimeoutMs = 75_000;

const pollMs = 2_000;

/** Looks until something is found, for the last time once `until` (by the clock) has passed. undefined: there is nothing. */
export async function pollUntil<T>(
  clock: Clock,
  until: number,
  poll: () => Promise<T | undefined>,
): Promise<T | undefined> {
  for (;;) {
    const last = clock.now() >= until;
    const found = await poll();
    if (found !== undefined || last) return found;
    await sleep(clock, Math.min(pollMs, Math.max(0, until - clock.now())));
  }
}

/** When a write that ended with this error shows at the latest, if it took effect. */
export const visibleBy = (error: { takesEffectBy?: number | undefined }, clock: Clock): number =>
  (error.takesEffectBy ?? clock.now()) + staleReadMs;
