import type { MachineConfig } from "../../../fly/wire.ts";
import type { Exit } from "../core/runner.ts";

/** Restarts within this time count; Fly gives up after `max_retries` of them (10 when unset). */
export const windowMs = 5 * 60_000;
const defaultRetries = 10;
/** Between an exit and the next boot. */
export const restartDelayMs = 1000;

/**
 * Whether a machine whose program ended on its own is started again. No policy is `on-failure`, as machines with a schedule have it.
 * @param restarts when the policy restarted it before, milliseconds since the epoch
 */
export function restarts(
  restart: MachineConfig["restart"],
  exit: Exit,
  before: readonly number[],
  now: number,
): boolean {
  const tries = before.filter((at) => now - at < windowMs).length;
  const left = tries < (restart?.max_retries || defaultRetries);
  switch (restart?.policy) {
    case "no":
      return false;
    case "always":
      return left;
    default:
      return left && (exit.exitCode !== 0 || exit.signal !== 0 || exit.oomKilled);
  }
}
