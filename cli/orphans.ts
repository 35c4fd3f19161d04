/** Finds objects that have our metadata or names and belong to no stack. Pure. */

import { popOfVolume } from "../components/placement.ts";
import { isLive } from "../fly/existence.ts";
import { metadataKeys } from "../fly/metadata.ts";
import type { Address, Machine, Volume } from "../fly/wire.ts";

export interface Orphan {
  kind: "machine" | "volume" | "address";
  id: string;
  app: string;
  name: string;
  region: string;
  /** Why it is an orphan. */
  reason: string;
  /** False: it may belong to a stack in another backend, or to a running deployment. */
  deletable: boolean;
  /** A volume kept because of `keepVolumes`, which is not a problem. Deleted only if given by its id. */
  kept: boolean;
}

export interface AppObjects {
  app: string;
  machines: readonly Machine[];
  volumes: readonly Volume[];
  addresses: readonly Address[];
}

export interface OwnershipIndex {
  /** Whether an owner in metadata, organization/project/stack, is this stack. */
  isOwn: (owner: string) => boolean;
  /** Ids in the state of the stack. */
  ids: ReadonlySet<string>;
  /** Names of pending resources in the state: a deployment is creating them, or was interrupted. */
  pending: ReadonlySet<string>;
  /** Whether an owner is a stack in this backend. */
  hasStack: (owner: string) => boolean;
}

/** Settings of the stack file that matter for volumes. */
export interface VolumeSettings {
  keepVolumes: boolean;
  pops: readonly { name: string }[];
}

const pendingReason = "a deployment is creating it, or was interrupted while doing so: npx pulumi up continues it";

export function findOrphans(
  { app, machines, volumes, addresses }: AppObjects,
  known: OwnershipIndex,
  wanted: VolumeSettings,
): Orphan[] {
  const marked = machines.filter((it) => isLive(it) && it.config?.metadata?.[metadataKeys.stack] !== undefined);
  const lost = marked.filter(({ id, config }) => {
    const owner = config?.metadata?.[metadataKeys.stack] ?? "";
    return known.isOwn(owner) ? !known.ids.has(id) : !known.hasStack(owner);
  });
  const foreign = new Set(
    marked.filter(({ config }) => !known.isOwn(config?.metadata?.[metadataKeys.stack] ?? "")).map(({ id }) => id),
  );
  const isPending = ({ name = "" }: { name?: string | undefined }) => known.pending.has(name);
  const lostMachines = lost.map((it): Orphan => {
    const owner = it.config?.metadata?.[metadataKeys.stack] ?? "";
    const own = known.isOwn(owner);
    const pending = own && isPending(it);
    return {
      kind: "machine",
      id: it.id,
      app,
      name: it.name ?? "",
      region: it.region ?? "",
      reason: pending
        ? pendingReason
        : own
          ? "created by this stack, but not in its state"
          : `created by stack ${owner}, which is not in this backend`,
      deletable: own && !pending,
      kept: false,
    };
  });
  const isWanted = (volume: Volume) => wanted.pops.some(({ name }) => name === popOfVolume(volume.name));
  const lostVolumes = volumes
    .filter((it) => isLive(it) && popOfVolume(it.name) !== undefined && !known.ids.has(it.id))
    // A volume mounted by another stack's machine belongs to that stack.
    .filter((it) => !foreign.has(it.attached_machine_id ?? ""))
    .filter((it) => !it.attached_machine_id || lostMachines.some(({ id }) => id === it.attached_machine_id))
    .map((it): Orphan => {
      const pending = isPending(it) || lostMachines.some((one) => one.id === it.attached_machine_id && !one.deletable);
      const kept = !it.attached_machine_id && !pending && wanted.keepVolumes && !isWanted(it);
      return {
        kind: "volume",
        id: it.id,
        app,
        name: it.name ?? "",
        region: it.region ?? "",
        reason: pending
          ? pendingReason
          : kept
            ? "kept when its PoP was removed (fly-pops:keepVolumes), and billed"
            : `not in the state of this stack, ${it.attached_machine_id ? `mounted by ${it.attached_machine_id}` : "not mounted"}: kept when its PoP was removed, or left by an interrupted run`,
        deletable: !pending,
        kept,
      };
    });
  const lostAddresses = addresses
    // Egress addresses are only assigned manually.
    .filter(({ ip, egress }) => ip && !egress && !known.ids.has(ip))
    .map(
      ({ ip, region }): Orphan => ({
        kind: "address",
        id: ip ?? "",
        app,
        name: ip ?? "",
        region: region ?? "",
        reason: "assigned to the app, but not in the state of this stack",
        // Addresses have no metadata, so an operator may have assigned it manually.
        deletable: false,
        kept: false,
      }),
    );
  return [...lostMachines, ...lostVolumes, ...lostAddresses];
}

/** Selects orphans for `--delete`: all deletable ones except kept volumes, or exactly the given ids. */
export function selectForDeletion(
  all: readonly Orphan[],
  ids: readonly string[],
): { going: Orphan[]; refusals: string[] } {
  if (ids.length === 0) return { going: all.filter(({ deletable, kept }) => deletable && !kept), refusals: [] };
  const named = [...new Set(ids)].map((id) => [id, all.find((it) => it.id === id)] as const);
  return {
    going: named.flatMap(([, it]) => (it?.deletable ? it : [])),
    refusals: named.flatMap(([id, it]) => {
      if (it === undefined) return `${id} is not an orphan`;
      return it.deletable ? [] : `${it.kind} ${id} is not deleted: ${it.reason}`;
    }),
  };
}
