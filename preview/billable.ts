/** The billable items among the engine's resources, before or after the change. */

import type { BillableItems, BillableMachine, Traffic } from "../components/cost.ts";
import type { AddressType } from "../config/types.ts";
import { presets } from "../fly/guests.ts";
import { defaultSnapshotDays } from "../fly/snapshots.ts";
import { naturalOrder } from "../lib/order.ts";
import type { ResourceChange } from "./resource-change.ts";

interface Guest {
  cpu_kind: string;
  cpus: number;
  memory_mb: number;
}

export function billableItems(
  resources: readonly ResourceChange[],
  side: "old" | "new",
  { egressGb, egress, crawlers }: Traffic,
): BillableItems {
  const inputsOf = (kind: string) =>
    resources.filter((it) => it.kind === kind).flatMap((it) => (it[side] ? [it[side].inputs] : []));
  // Volumes that stay on Fly after Pulumi forgets them are still billed.
  const kept = side === "old" ? [] : resources.filter((it) => it.kind === "Volume" && isKept(it));
  const volume = ({ pop, sizeGb, snapshotDays }: Record<string, unknown>) => ({
    name: String(pop),
    volumeGb: Number(sizeGb),
    // Fly takes snapshots of volumes unless the volume says otherwise.
    snapshotDays: Number(snapshotDays ?? defaultSnapshotDays),
  });
  // The engine's order is not deterministic.
  const byName = (a: { name: string }, b: { name: string }) => naturalOrder(a.name, b.name);
  return {
    machines: inputsOf("Machine").flatMap(machine).toSorted(byName),
    volumes: [
      ...inputsOf("Volume").map(volume),
      ...kept.flatMap(({ old }) => (old ? [{ ...volume(old.inputs), kept: true }] : [])),
    ].toSorted(byName),
    addresses: inputsOf("Address")
      .flatMap(({ type }) => (type === "v4" || type === "v6" ? [type as AddressType] : []))
      .toSorted(),
    egressGb,
    ...(egress && { egress }),
    crawlers,
  };
}

export const isKept = ({ change, old }: ResourceChange): boolean =>
  (change === "delete" || change === "replace") && old?.retainOnDelete === true;

function machine({ pop, region, config }: Record<string, unknown>): BillableMachine[] {
  const guest = (config as { guest?: Guest } | undefined)?.guest;
  if (!guest) return [];
  const cpuKind = guest.cpu_kind === "performance" ? "performance" : "shared";
  const named = Object.entries(presets).find(([, it]) => it.cpuKind === cpuKind && it.cpus === guest.cpus);
  const size = named?.[0] ?? `${cpuKind}-${guest.cpus}x`;
  return [{ name: String(pop), region: String(region), size, cpuKind, cpus: guest.cpus, memoryMb: guest.memory_mb }];
}
