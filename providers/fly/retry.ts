import type { Clock } from "../clock.ts";
import { withPatience } from "../retry.ts";
import { FlyError } from "./errors.ts";

/**
 * What may be sent again. "idempotent": reads, and writes that change nothing when repeated. "once": a second one is a second machine;
 * repeated only when Fly surely did nothing with the first.
 */
export type Repeat = "idempotent" | "once";

/** Tries at most, first one included, and the longest a call may spend waiting between them. */
const tries = 5;
const patienceMs = 60_000;

const passing = new Set([429, 502, 503, 504]);

/** As often as Fly's answers allow. */
export const withRetry = <T>(
  repeat: Repeat,
  { clock, random }: { clock: Clock; random: () => number },
  send: () => Promise<T>,
): Promise<T> =>
  withPatience(
    {
      clock,
      tries,
      patienceMs,
      pauseMs: (error, attempt) =>
        error instanceof FlyError && mayRepeat(repeat, error)
          ? (retryAfterMs(error, clock.now()) ?? backoffMs(attempt, random))
          : undefined,
    },
    send,
  );

function mayRepeat(repeat: Repeat, error: FlyError): boolean {
  // A host that takes no deploys says 503 too, but says it for minutes: no use to hammer it.
  if (/deploys to this host are temporarily disabled/.test(error.detail)) return false;
  if (error.code !== undefined && error.code !== "unknown" && error.status !== 429) return false;
  if (repeat === "once") return !error.uncertain && (error.status === undefined || error.status === 429);
  return error.status === undefined || passing.has(error.status);
}

/** Half a second, doubled each time, give or take a quarter so that many clients do not march in step. */
const backoffMs = (attempt: number, random: () => number): number => 500 * 2 ** (attempt - 1) * (0.75 + random() / 2);

/** `Retry-After` in milliseconds: seconds or an HTTP date (RFC 9110, 10.2.3). */
export function retryAfterMs(error: { retryAfter?: string | undefined }, now: number): number | undefined {
  const value = error.retryAfter?.trim();
  if (!value) return undefined;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
