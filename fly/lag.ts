/**
 * How stale Fly's reads can be and how late its writes can take effect, and the timeouts that follow. Each of its API servers keeps its own replica
 * and learns of writes by gossip: https://fly.io/infra-log/ (flaps affinity, Corrosion), flyctl's internal/command/machine/wait.go.
 */
import { type Clock, sleep } from "../lib/clock.ts";

/** How long a read may return the state before a write, in milliseconds. What reads show for longer is current. */
export const staleReadMs = 15_000;
/** How long after it was sent a write without a response may still take effect. Fly's proxy gives up after 60 s, but the server may go on. */
export const lateWriteMs = 90_000;
/** How long calls below a new app may return 404 or 401. */
export const newAppMs = 30_000;
/** Timeout of a write: longer than that of Fly's proxy, so that a write does not take effect after it was reported as failed. */
export const writeTimeoutMs = 75_000;

const pollMs = 2_000;

/** Polls until something is found. The last poll is the first one at or after `until` (milliseconds since the epoch). undefined: nothing was found. */
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

/** When reads show a write that ended with this error, at the latest, if it took effect. Milliseconds since the epoch. */
export const visibleBy = (error: { takesEffectBy?: number | undefined }, clock: Clock): number =>
  (error.takesEffectBy ?? clock.now()) + staleReadMs;
