/** Rates as the stack file writes them: 10/s, 100/m. */

/** Upper bound for rates and bursts. A higher limit would never apply. */
export const maxRequests = 100_000;

export interface Rate {
  count: number;
  per: "s" | "m";
}

/** Undefined if the text is not a rate or is out of bounds. */
export function parseRate(text: string): Rate | undefined {
  const [, count, per] = /^(\d{1,6})\/([sm])$/.exec(text) ?? [];
  const number = Number(count);
  return number >= 1 && number <= maxRequests ? { count: number, per: per as Rate["per"] } : undefined;
}
