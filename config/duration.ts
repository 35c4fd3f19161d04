/** Durations as the stack file writes them: 10m, 1d, 90s, or plain seconds. */
const secondsPer = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** No cache entry should live longer than this. A larger number is most likely a wrong unit. */
const maxSeconds = 365 * secondsPer.d;

/** Whole seconds from 0 to a year, else undefined. */
export function parseSeconds(text: unknown): number | undefined {
  const [, count, unit = "s"] = /^(\d{1,9})([smhd])?$/.exec(String(text)) ?? [];
  if (count === undefined || !(typeof text === "string" || typeof text === "number")) return undefined;
  const total = Number(count) * secondsPer[unit as keyof typeof secondsPer];
  return total <= maxSeconds ? total : undefined;
}
