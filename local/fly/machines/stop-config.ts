import { parseDuration } from "../../../fly/durations.ts";
import type { MachineConfig } from "../../../fly/wire.ts";

const longestMs = 300_000;
const defaultMs = 5000;

/** How a machine is asked to end: what the call says, else its config, else SIGINT and 5 seconds. At most 300 seconds. */
export function stopHow(
  config: MachineConfig,
  asked: { signal?: string | undefined; timeout?: string | number | undefined } = {},
): { signal: string; timeoutMs: number } {
  // flyctl always sends a timeout; its zero means "as configured".
  const timeoutMs = inMs(asked.timeout) || inMs(config.stop_config?.timeout) || defaultMs;
  return {
    signal: asked.signal || config.stop_config?.signal || "SIGINT",
    timeoutMs: Math.min(timeoutMs, longestMs),
  };
}

/** In calls a bare number is seconds, and so is a string of digits; in a config it is Go's nanoseconds, rendered away before. */
function inMs(value: string | number | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "number") return value * 1000;
  return /^\d+$/.test(value) ? Number(value) * 1000 : parseDuration(value);
}
