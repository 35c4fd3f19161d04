/** Numbers and errors as text. */
import { FlyError } from "../../fly/errors.ts";

/** 0.4 s, 12 s. */
export const seconds = (ms: number): string =>
  ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;

export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** Status, code and message of an error response. */
export const errorText = ({ status, code, detail }: FlyError): string =>
  [status ?? "no answer", code, JSON.stringify(detail)].filter((it) => it !== undefined).join(" ");

/** The error of a call that should be rejected. Undefined: it succeeded. Rejects if Fly gave no definite response. */
export async function expectRejected(call: Promise<unknown>): Promise<FlyError | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (error instanceof FlyError && isRejection(error)) return error;
    throw error;
  }
}

/** Whether the error is about the request itself, not a server failure or a rate limit. */
const isRejection = ({ status = 0 }: FlyError): boolean =>
  status >= 400 && status < 500 && status !== 401 && status !== 429;
