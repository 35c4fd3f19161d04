/** Leases: while one is held, no other client can change the machine. Held for one step, renewed at half its TTL, always released. */

import { FlyError, isLeased, isNotFound } from "../../fly/errors.ts";
import { sleep } from "../../lib/clock.ts";
import type { Context } from "../handler.ts";

/** Seconds until a lease expires without renewal, which the next run has to wait after a crash. */
const ttlSeconds = 60;
/** How long to wait for another client's lease. */
const waitTimeoutMs = 120_000;
const pollMs = 5_000;

export interface HeldLease {
  nonce: string;
  /** `instance_id` of the machine when it was leased, as its host knows it. undefined: Fly did not say. */
  version: string | undefined;
  /** Aborted when the lease could not be renewed: from then on, nothing may be changed. */
  lost: AbortSignal;
}

/** Runs `work` while holding the machine's lease. Waits while another client holds it; after two minutes it throws an error that names the holder. */
export async function withLease<T>(
  { app, id, pop, purpose }: { app: string; id: string; pop: string; purpose: string },
  { fly, clock, rollout }: Pick<Context, "fly" | "clock" | "rollout">,
  work: (lease: HeldLease) => Promise<T>,
): Promise<T> {
  const { nonce, version } = await acquire();
  const lost = new AbortController();
  let released = false;
  let renewal: Promise<void> = Promise.resolve();
  let stopRenewal = scheduleRenewal();
  try {
    return await work({ nonce, version, lost: lost.signal });
  } finally {
    released = true;
    stopRenewal();
    // A renewal that arrives after the release would lease the machine again, without a holder.
    await renewal;
    await release();
  }

  async function acquire() {
    const deadline = clock.now() + waitTimeoutMs;
    for (;;) {
      try {
        return await fly.acquireLease(app, id, { ttlSeconds, description: `fly-pops: ${purpose} ${pop}` });
      } catch (error) {
        if (!isLeased(error)) throw error;
        if (clock.now() >= deadline)
          throw new Error(
            `${pop}: ${error.detail}; waited ${waitTimeoutMs / 1000} s for it. It was not changed. Wait until the other deployment has ended, then run again.`,
            { cause: error },
          );
        await sleep(clock, pollMs);
        rollout.throwIfCancelled(pop);
      }
    }
  }

  function scheduleRenewal(): () => void {
    return clock.after((ttlSeconds * 1000) / 2, () => {
      renewal = renew();
    });
  }

  async function renew(): Promise<void> {
    try {
      const held = await fly.acquireLease(app, id, { ttlSeconds, description: `fly-pops: ${purpose} ${pop}`, nonce });
      // With an unknown nonce Fly creates a new lease instead of an error: ours had expired, and others may have changed the machine.
      if (held.nonce !== nonce) {
        await fly.releaseLease(app, id, held.nonce).catch(() => undefined);
        lost.abort(new Error(`the lease of machine ${id} expired during the operation.`));
      } else if (!released) stopRenewal = scheduleRenewal();
    } catch (error) {
      lost.abort(new Error(`the lease of machine ${id} could not be renewed.`, { cause: error }));
    }
  }

  async function release(): Promise<void> {
    try {
      await fly.releaseLease(app, id, nonce);
    } catch (error) {
      // If the release fails, the lease expires by itself within a minute; only the outcome of the work matters.
      if (!isNotFound(error) && !(error instanceof FlyError)) throw error;
    }
  }
}
