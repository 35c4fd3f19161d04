/** Leases: one holder at a time may change a machine. They end by themselves, so nothing here needs a timer. */
import type { Core } from "../core/core.ts";
import { ApiError, aborted, leaseError, notFound } from "../core/errors.ts";
import { type LeaseRow, type MachineRow, rfc3339 } from "../core/fly-state.ts";

/** Fly documents neither a default nor a maximum; a client that dies must not block a machine for long. */
const defaultTtlSeconds = 120;

function liveLease(core: Core, machine: MachineRow): LeaseRow | undefined {
  return machine.lease && machine.lease.expiresAt > core.clock.now() ? machine.lease : undefined;
}

const heldBy = (machine: MachineRow, lease: LeaseRow) =>
  `machine ID ${machine.id} lease currently held by ${lease.owner}, expires at ${rfc3339(lease.expiresAt)}`;

/** Throws 409 when a client holds the machine and the nonce is not its own. */
export function fence(core: Core, machine: MachineRow, nonce: string | undefined): void {
  const lease = liveLease(core, machine);
  if (lease && lease.nonce !== nonce) throw aborted(heldBy(machine, lease));
}

/**
 * Gives or prolongs a lease. With the nonce of the live one it stays that lease; with another nonce, or none, a new one is made,
 * unless another client holds the machine: 409. So a refresh after the lease ran out silently creates a new lease.
 */
export function acquire(
  core: Core,
  machine: MachineRow,
  ask: {
    nonce?: string | undefined;
    ttlSeconds?: number | undefined;
    description?: string | undefined;
    owner?: string;
  },
): LeaseRow {
  const live = liveLease(core, machine);
  if (live && live.nonce !== ask.nonce) throw leaseError(409, heldBy(machine, live), "invalid");
  machine.lease = {
    nonce: live?.nonce ?? core.ids.nonce(),
    owner: live?.owner ?? ask.owner ?? core.settings.owner,
    description: ask.description ?? live?.description ?? "",
    expiresAt: core.clock.now() + (ask.ttlSeconds || defaultTtlSeconds) * 1000,
  };
  core.changed(machine);
  return machine.lease;
}

export function release(core: Core, machine: MachineRow, nonce: string | undefined): void {
  if (!nonce) throw leaseError(400, "lease nonce is required to release a lease", "invalid");
  const live = liveLease(core, machine);
  if (!live) throw notFound("lease");
  if (live.nonce !== nonce) throw leaseError(409, heldBy(machine, live), "invalid");
  delete machine.lease;
  core.changed(machine);
}

export function readLease(core: Core, machine: MachineRow): LeaseRow {
  const live = liveLease(core, machine);
  if (!live)
    throw new ApiError(404, {
      status: "error",
      message: "lease not found",
      error: "lease not found",
      code: "not_found",
    });
  return live;
}

/** A client that may read it sees the nonce: `fly machine leases clear` reads it, then releases with it. */
export const renderLease = (machine: MachineRow, lease: LeaseRow) => ({
  status: "success",
  data: {
    nonce: lease.nonce,
    expires_at: Math.floor(lease.expiresAt / 1000),
    owner: lease.owner,
    description: lease.description,
    version: machine.version,
  },
});
