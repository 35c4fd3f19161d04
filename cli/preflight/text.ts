/** Figures and refusals as text. */
import { FlyError } from "../../providers/fly/errors.ts";

/** 0.4 s, 12 s. */
export const seconds = (ms: number): string =>
  ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;

export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** Status, code and words of an answer. */
export const errorText = ({ status, code, detail }: FlyError): string =>
  [status ?? "no answer", code, JSON.stringify(detail)].filter((it) => it !== undefined).join(" ");

/** The refusal of a call that should be refused; undefined when it succeeded. Rejects when Fly said neither yes nor no. */
export async function expectRejected(call: Promise<unknown>): Promise<FlyError | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (error instanceof FlyError && isRejection(error)) return error;
    throw error;
  }
}

/** An answer that is about what was asked: no failure of the server, no limit of calls. */
const isRejection = ({ status = 0 }: FlyError): boolean =>
  status >= 400 && status < 500 && status !== 401 && status !== 429;
