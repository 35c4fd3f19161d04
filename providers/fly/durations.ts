/** Go's durations, as the Machines API reads and writes them: "1m30s", "500ms", or nanoseconds as a number (https://pkg.go.dev/time#ParseDuration). */
const units: Record<string, number> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** Nanoseconds; undefined when the text is no duration. */
export function nanoseconds(duration: string | number): number | undefined {
  if (typeof duration === "number") return duration;
  if (duration === "0") return 0;
  const parts = [...duration.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([all]) => all).join("") !== duration) return undefined;
  return parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * (units[unit ?? ""] ?? Number.NaN), 0);
}
