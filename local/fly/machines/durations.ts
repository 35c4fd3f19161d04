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
