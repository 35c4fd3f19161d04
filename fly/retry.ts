import type { Clock } from "../lib/clock.ts";
import { withRetry } from "../lib/retry.ts";
import { FlyError } from "./errors.ts";

/**
 * Whether a call may be sent again. "idempotent": reads, and writes that change nothing when repeated. "non-idempotent": a second call would create a
 * second machine, so it is repeated only if Fly certainly did not process the first.
 */
export type Idempotency = "idempotent" | "non-idempotent";

/** Maximum number of attempts of a failing call, including the first. */
const maxAttempts = 5;
/** Maximum time a call may spend on attempts and delays. */
const timeoutMs = 60_000;
/** Maximum delay before repeating a call that Fly rejects temporarily: 429, or an app too new to be known everywhere. */
const maxDelayMs = 8_000;

const retryableStatuses = new Set([502, 503, 504]);

/**
 * Repeats a call as Fly's responses allow. A rate-limited call (429) is repeated for up to a minute, without a limit on attempts.
 * `newUntil`: until then, 404 and 401 mean that the app was just created and is not known everywhere yet. Default: no app is new.
 */
export const retryFlyCall = <T>(
  idempotency: Idempotency,
  { clock, random, newUntil = Number.NEGATIVE_INFINITY }: { clock: Clock; random: () => number; newUntil?: number },
  send: () => Promise<T>,
): Promise<T> => {
  let failures = 0;
  return withRetry(
    {
      clock,
      maxAttempts: Number.POSITIVE_INFINITY,
      timeoutMs,
      delayMs(error, attempt) {
        if (!(error instanceof FlyError)) return undefined;
        const capped = Math.min(backoffMs(attempt, random), maxDelayMs);
        if (error.status === 429) return retryAfterMs(error, clock.now()) ?? capped;
        const isNotKnown = error.status === 404 || error.status === 401;
        if (isNotKnown && clock.now() < newUntil) return capped;
        if (!isRetryable(idempotency, error) || ++failures === maxAttempts) return undefined;
        return retryAfterMs(error, clock.now()) ?? backoffMs(failures, random);
      },
    },
    send,
  );
};

function isRetryable(idempotency: Idempotency, error: FlyError): boolean {
  // A host with deploys disabled also returns 503, but for minutes: repeating does not help.
  if (/deploys to this host are temporarily disabled/.test(error.detail)) return false;
  if (error.code !== undefined && error.code !== "unknown") return false;
  if (idempotency === "non-idempotent") return !error.uncertain && error.status === undefined;
  return error.status === undefined || retryableStatuses.has(error.status);
}

/** Half a second, doubled each time, with a jitter of 25 % so that many clients do not retry in step. */
const backoffMs = (attempt: number, random: () => number): number => 500 * 2 ** (attempt - 1) * (0.75 + random() / 2);

/** `Retry-After` in milliseconds: seconds or an HTTP date (RFC 9110, 10.2.3). */
export function retryAfterMs(error: { retryAfter?: string | undefined }, now: number): number | undefined {
  const value = error.retryAfter?.trim();
  if (!value) return undefined;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
