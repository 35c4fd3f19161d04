/** Converts between Fly's fields for daily snapshots and a number of days. Pure. By default Fly takes snapshots, and bills what they hold beyond 10 GB. */
import type { Volume } from "./wire.ts";

/** Fly's default: days for which it keeps daily snapshots. */
export const defaultSnapshotDays = 5;

/** The fields for keeping daily snapshots for this many days. 0: none are taken. */
export const snapshotFields = (days: number) =>
  days === 0 ? { auto_backup_enabled: false } : { auto_backup_enabled: true, snapshot_retention: days };

/** Days for which Fly keeps daily snapshots. 0: none are taken. `fallback`: the result if the API does not say. */
export function snapshotDaysOf({ auto_backup_enabled, snapshot_retention }: Volume, fallback: number): number {
  if (auto_backup_enabled === false) return 0;
  return auto_backup_enabled ? (snapshot_retention ?? fallback) : fallback;
}
