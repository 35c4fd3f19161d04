/** What bears our marks and belongs to no stack. Pure. */

import { popOfVolume } from "../components/placement.ts";
import { isLive } from "../providers/fly/existence.ts";
import { ownerKeys } from "../providers/fly/owner.ts";
import type { Address, Machine, Volume } from "../providers/fly/wire.ts";

export interface Orphan {
  kind: "machine" | "volume" | "address";
  id: string;
  app: string;
  name: string;
  region: string;
  /** Why it counts as one. */
  reason: string;
  /** False: another stack's, which may live in a backend that is not asked here, or a deployment's that may be under way. */
  deletable: boolean;
  /** A volume that stays because `keepVolumes` says so: nothing that should not be, and deleted by its id alone. */
  kept: boolean;
}

export interface Found {
  app: string;
  machines: readonly Machine[];
  volumes: readonly Volume[];
  addresses: readonly Address[];
}

export interface Known {
  /** True for an owner as metadata has it, organization/project/stack, that is the stack asked about. */
  isOwn: (owner: string) => boolean;
  /** Ids in the state of the stack. */
  ids: ReadonlySet<string>;
  /** Names of what the state has as begun and not ended: a deployment makes them just now, or was cut off at them. */
  pending: ReadonlySet<string>;
  /** True for the owner of a stack that this backend has. */
  hasStack: (owner: string) => boolean;
}

/** What the stack file says of volumes. */
export interface Wanted {
  keepVolumes: boolean;
  pops: readonly { name: string }[];
}

const pendingReason = "a deployment makes it just now, or was cut off while it did: npx pulumi up goes on with it";

export function orphansIn({ app, machines, volumes, addresses }: Found, known: Known, wanted: Wanted): Orphan[] {
  const marked = machines.filter((it) => isLive(it) && it.config?.metadata?.[ownerKeys.stack] !== undefined);
  const lost = marked.filter(({ id, config }) => {
    const owner = config?.metadata?.[ownerKeys.stack] ?? "";
    return known.isOwn(owner) ? !known.ids.has(id) : !known.hasStack(owner);
  });
  const foreign = new Set(
    marked.filter(({ config }) => !known.isOwn(config?.metadata?.[ownerKeys.stack] ?? "")).map(({ id }) => id),
  );
  const isPending = ({ name = "" }: { name?: string | undefined }) => known.pending.has(name);
  const lostMachines = lost.map((it): Orphan => {
    const owner = it.config?.metadata?.[ownerKeys.stack] ?? "";
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
          ? "made by this stack, not in its state"
          : `made by stack ${owner}, which this backend does not have`,
      deletable: own && !pending,
      kept: false,
    };
  });
  const isWanted = (volume: Volume) => wanted.pops.some(({ name }) => name === popOfVolume(volume.name));
  const lostVolumes = volumes
    .filter((it) => isLive(it) && popOfVolume(it.name) !== undefined && !known.ids.has(it.id))
    // One that a foreign stack's machine mounts is that stack's.
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
            ? "kept when its PoP went (fly-pops:keepVolumes), and on the bill"
            : `not in the state of this stack, ${it.attached_machine_id ? `mounted by ${it.attached_machine_id}` : "mounted by nobody"}: kept when its PoP went, or left by a run that was cut off`,
        deletable: !pending,
        kept,
      };
    });
  const lostAddresses = addresses
    // Egress addresses are assigned by hand, and by nobody else.
    .filter(({ ip, egress }) => ip && !egress && !known.ids.has(ip))
    .map(
      ({ ip, region }): Orphan => ({
        kind: "address",
        id: ip ?? "",
        app,
        name: ip ?? "",
        region: region ?? "",
        reason: "assigned to the app, not in the state of this stack",
        // Nothing marks an address as ours: somebody may have assigned it by hand.
        deletable: false,
        kept: false,
      }),
    );
  return [...lostMachines, ...lostVolumes, ...lostAddresses];
}

/** What `--delete` takes: all that may go but what is kept, or exactly the ids that are named. */
export function goingOf(all: readonly Orphan[], ids: readonly string[]): { going: Orphan[]; refusals: string[] } {
  if (ids.length === 0) return { going: all.filter(({ deletable, kept }) => deletable && !kept), refusals: [] };
  const named = [...new Set(ids)].map((id) => [id, all.find((it) => it.id === id)] as const);
  return {
    going: named.flatMap(([, it]) => (it?.deletable ? it : [])),
    refusals: named.flatMap(([id, it]) => {
      if (it === undefined) return `${id} is no orphan`;
      return it.deletable ? [] : `${it.kind} ${id} stays: ${it.reason}`;
    }),
  };
}
