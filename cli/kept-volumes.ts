/** Volumes on Fly that no PoP of the stack uses: kept when theirs was taken out or replaced, and on the bill until somebody destroys them. One call. */
import type { BilledVolume } from "../components/cost.ts";
import { volumeName } from "../components/placement.ts";
import { isGone } from "../providers/fly/errors.ts";
import { isLive } from "../providers/fly/gone.ts";
import type { Volume } from "../providers/fly/schema.ts";
import { flysSnapshotDays, snapshotDaysOf } from "../providers/fly/snapshots.ts";
import type { Stack } from "./stack.ts";

export async function keptVolumes(stack: Stack): Promise<BilledVolume[]> {
  const { app, pops } = stack.config();
  const fly = await stack.fly();
  const volumes = await fly.listVolumes(app).catch((error: unknown) => {
    if (isGone(error)) return []; // nothing is deployed yet
    throw error;
  });
  return keptIn(volumes, new Set(pops.map(({ name }) => volumeName(name))));
}

/** `wanted`: names of the volumes that the stack file's PoPs have. Of several with one name the mounted one is the PoP's. Pure. */
export function keptIn(volumes: readonly Volume[], wanted: ReadonlySet<string>): BilledVolume[] {
  const ours = volumes.filter((it) => isLive(it) && /^pop_[a-z]{3}_\d+$/.test(it.name ?? ""));
  const mounted = new Set(ours.flatMap(({ name, attached_machine_id }) => (attached_machine_id ? [name] : [])));
  return ours
    .filter((it) => !it.attached_machine_id && (!wanted.has(it.name ?? "") || mounted.has(it.name)))
    .map((it) => ({
      name: (it.name ?? "").replace(/^pop_/, "").replace("_", "-"),
      volumeGb: it.size_gb ?? 0,
      snapshotDays: snapshotDaysOf(it, flysSnapshotDays),
      kept: true,
    }));
}
