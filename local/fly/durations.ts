/** Go durations, as Fly reads and writes them: "1m30s", or a number of nanoseconds. Counted here in milliseconds. */

const unitMs: Record<string, number> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const part = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/y;

/** Milliseconds of a Go duration; undefined when it is none. A bare number is nanoseconds, "0" is zero. */
export function parseDuration(value: string | number): number | undefined {
  if (typeof value === "number") return value / 1e6;
  const negative = value.startsWith("-");
  const text = value.replace(/^[+-]/, "");
  if (text === "0") return 0;
  let total = 0;
  part.lastIndex = 0;
  while (part.lastIndex < text.length) {
    const found = part.exec(text);
    if (!found) return undefined;
    total += Number(found[1]) * (unitMs[found[2] ?? ""] ?? 0);
  }
  if (text === "") return undefined;
  return negative ? -total : total;
}

/** As Go's time.Duration prints it: 90 000 is "1m30s", 500 is "500ms", 0 is "0s". */
export function formatDuration(ms: number): string {
  if (ms === 0) return "0s";
  const sign = ms < 0 ? "-" : "";
  const nanoseconds = Math.round(Math.abs(ms) * 1e6);
  if (nanoseconds < 1e3) return `${sign}${nanoseconds}ns`;
  if (nanoseconds < 1e6) return `${sign}${nanoseconds / 1e3}µs`;
  if (nanoseconds < 1e9) return `${sign}${nanoseconds / 1e6}ms`;
  const hours = Math.floor(nanoseconds / 3.6e12);
  const minutes = Math.floor((nanoseconds % 3.6e12) / 6e10);
  // Whole nanoseconds first, then the division: 1.1 s stays 1.1, not 1.1000000000000001.
  const seconds = (nanoseconds % 6e10) / 1e9;
  return `${sign}${hours ? `${hours}h` : ""}${hours || minutes ? `${minutes}m` : ""}${seconds}s`;
}
