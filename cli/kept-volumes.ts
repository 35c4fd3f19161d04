/** Volumes on Fly that no PoP of the stack uses: kept when their PoP was removed or replaced, and billed until they are destroyed. One API call. */
import type { BillableVolume } from "../components/cost.ts";
import { popOfVolume } from "../components/placement.ts";
import { ifNotFound } from "../fly/errors.ts";
import { isLive } from "../fly/existence.ts";
import { defaultSnapshotDays, snapshotDaysOf } from "../fly/snapshots.ts";
import type { Volume } from "../fly/wire.ts";
import type { Stack } from "./stack.ts";

export async function keptVolumes(stack: Stack): Promise<BillableVolume[]> {
  const { app, pops } = stack.config();
  const fly = await stack.fly();
  const volumes = await fly.listVolumes(app).catch(ifNotFound([]));
  return keptIn(volumes, new Set(pops.map(({ name }) => name)));
}

/** `wanted`: the stack file's PoPs. If a PoP has several volumes, the mounted one is its own. Pure. */
function keptIn(volumes: readonly Volume[], wanted: ReadonlySet<string>): BillableVolume[] {
  const ours = volumes.filter(isLive).flatMap((volume) => {
    const pop = popOfVolume(volume.name);
    return pop === undefined ? [] : [{ pop, volume }];
  });
  const mounted = new Set(ours.flatMap(({ pop, volume }) => (volume.attached_machine_id ? [pop] : [])));
  return ours
    .filter(({ pop, volume }) => !volume.attached_machine_id && (!wanted.has(pop) || mounted.has(pop)))
    .map(({ pop, volume }) => ({
      name: pop,
      volumeGb: volume.size_gb ?? 0,
      snapshotDays: snapshotDaysOf(volume, defaultSnapshotDays),
      kept: true,
    }));
}
