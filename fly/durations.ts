/** Go durations, as Fly reads and writes them: "1m30s", or a number of nanoseconds. Converted to milliseconds (https://pkg.go.dev/time#ParseDuration). */

const unitMs: Record<string, number> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const part = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/y;

/** A Go duration in milliseconds; undefined if it is not one. A number is in nanoseconds; "0" is valid. */
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
