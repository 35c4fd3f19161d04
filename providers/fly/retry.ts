import type { Clock } from "../clock.ts";
import { withPatience } from "../retry.ts";
import { FlyError } from "./errors.ts";

/**
 * What may be sent again. "idempotent": reads, and writes that change nothing when repeated. "once": a second one is a second machine;
 * repeated only when Fly surely did nothing with the first.
 */
export type Repeat = "idempotent" | "once";

/** Tries at most, first one included, of a call that fails; and the longest it may spend waiting between them. */
const tries = 5;
const patienceMs = 60_000;
/** Between tries of a call that was only refused for a while: 429, or a new app that is not known yet. */
const longestPauseMs = 8_000;

const passing = new Set([502, 503, 504]);

/**
 * As often as Fly's answers allow. What was refused because there were too many calls is endured for a minute as a whole, however often.
 * `youngUntil`: until then 404 and 401 mean that the app, which was just made, is not known everywhere yet. Default: none is.
 */
export const withRetry = <T>(
  repeat: Repeat,
  { clock, random, youngUntil = Number.NEGATIVE_INFINITY }: { clock: Clock; random: () => number; youngUntil?: number },
  send: () => Promise<T>,
): Promise<T> => {
  let failures = 0;
  return withPatience(
    {
      clock,
      tries: Number.POSITIVE_INFINITY,
      patienceMs,
      pauseMs(error, attempt) {
        if (!(error instanceof FlyError)) return undefined;
        const patient = Math.min(backoffMs(attempt, random), longestPauseMs);
        if (error.status === 429) return retryAfterMs(error, clock.now()) ?? patient;
        const isUnknown = error.status === 404 || error.status === 401;
        if (isUnknown && clock.now() < youngUntil) return patient;
        if (!mayRepeat(repeat, error) || ++failures === tries) return undefined;
        return retryAfterMs(error, clock.now()) ?? backoffMs(failures, random);
      },
    },
    send,
  );
};

function mayRepeat(repeat: Repeat, error: FlyError): boolean {
  // A host that takes no deploys says 503 too, but says it for minutes: no use to hammer it.
  if (/deploys to this host are temporarily disabled/.test(error.detail)) return false;
  if (error.code !== undefined && error.code !== "unknown") return false;
  if (repeat === "once") return !error.uncertain && error.status === undefined;
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
