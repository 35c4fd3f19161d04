/** Fly's daily snapshots of a volume, in the API's words and in ours. Pure. Unless it is told otherwise Fly takes them, and bills what they hold beyond 10 GB. */
import type { Volume } from "./wire.ts";

/** What Fly does with a volume nobody said anything of. */
export const defaultSnapshotDays = 5;

/** The fields that make Fly keep daily snapshots for so many days; 0: it takes none. */
export const snapshotFields = (days: number) =>
  days === 0 ? { auto_backup_enabled: false } : { auto_backup_enabled: true, snapshot_retention: days };

/** For how many days it keeps them, 0: it takes none. Where the API does not say, `otherwise`. */
export function snapshotDaysOf({ auto_backup_enabled, snapshot_retention }: Volume, fallback: number): number {
  if (auto_backup_enabled === false) return 0;
  return auto_backup_enabled ? (snapshot_retention ?? fallback) : fallback;
}
