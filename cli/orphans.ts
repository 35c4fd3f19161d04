/** What bears our marks and belongs to no stack. Pure. */

import { isLive } from "../providers/fly/gone.ts";
import { ownerKeys } from "../providers/fly/owner.ts";
import type { Address, Machine, Volume } from "../providers/fly/schema.ts";

export interface Orphan {
  kind: "machine" | "volume" | "address";
  id: string;
  app: string;
  name: string;
  region: string;
  /** Why it counts as one. */
  reason: string;
  /** False: another stack's, which may live in a backend that is not asked here. */
  deletable: boolean;
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
  /** True for the owner of a stack that this backend has. */
  hasStack: (owner: string) => boolean;
}

/** Volumes have no metadata: our names are `pop_<region>_<n>` (components/pop.ts). */
const ourVolume = /^pop_[a-z]{3}_\d+$/;

export function orphansIn({ app, machines, volumes, addresses }: Found, known: Known): Orphan[] {
  const marked = machines.filter((it) => isLive(it) && it.config?.metadata?.[ownerKeys.stack] !== undefined);
  const lost = marked.filter(({ id, config }) => {
    const owner = config?.metadata?.[ownerKeys.stack] ?? "";
    return known.isOwn(owner) ? !known.ids.has(id) : !known.hasStack(owner);
  });
  const foreign = new Set(
    marked.filter(({ config }) => !known.isOwn(config?.metadata?.[ownerKeys.stack] ?? "")).map(({ id }) => id),
  );
  const lostMachines = lost.map((it): Orphan => {
    const owner = it.config?.metadata?.[ownerKeys.stack] ?? "";
    const own = known.isOwn(owner);
    return {
      kind: "machine",
      id: it.id,
      app,
      name: it.name ?? "",
      region: it.region ?? "",
      reason: own ? "made by this stack, not in its state" : `made by stack ${owner}, which this backend does not have`,
      deletable: own,
    };
  });
  const lostVolumes = volumes
    .filter((it) => isLive(it) && ourVolume.test(it.name ?? "") && !known.ids.has(it.id))
    // One that a foreign stack's machine mounts is that stack's.
    .filter((it) => !foreign.has(it.attached_machine_id ?? ""))
    .filter((it) => !it.attached_machine_id || lostMachines.some(({ id }) => id === it.attached_machine_id))
    .map(
      (it): Orphan => ({
        kind: "volume",
        id: it.id,
        app,
        name: it.name ?? "",
        region: it.region ?? "",
        reason: `not in the state of this stack, ${it.attached_machine_id ? `mounted by ${it.attached_machine_id}` : "mounted by nobody"}: kept when its PoP went, or left by a run that was cut off`,
        deletable: true,
      }),
    );
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
      }),
    );
  return [...lostMachines, ...lostVolumes, ...lostAddresses];
}
