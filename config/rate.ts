/** Rates as the stack file writes them: 10/s, 100/m. */

/** Requests a second or a minute, and in a burst: beyond it a limit limits nobody. */
export const maxRequests = 100_000;

export interface Rate {
  count: number;
  per: "s" | "m";
}

/** Undefined for a text that is no rate, or one out of bounds. */
export function parseRate(text: string): Rate | undefined {
  const [, count, per] = /^(\d{1,6})\/([sm])$/.exec(text) ?? [];
  const number = Number(count);
  return number >= 1 && number <= maxRequests ? { count: number, per: per as Rate["per"] } : undefined;
}
