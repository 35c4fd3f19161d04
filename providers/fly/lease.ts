/** Leases: for a short while nobody else may change the machine. Held for one step only, renewed at half its time, always given back. */
import { sleep } from "../clock.ts";
import type { Context } from "../handler.ts";
import { FlyError, isLeased, isNotFound } from "./errors.ts";

/** Seconds a lease lives without renewal: what a crash of ours costs the next run. */
const ttlSeconds = 60;
/** How long a lease of somebody else is waited out. */
const waitTimeoutMs = 120_000;
const pollMs = 5_000;

export interface HeldLease {
  nonce: string;
  /** `instance_id` of the machine when it was leased, by its host, which knows; where Fly says it. */
  version: string | undefined;
  /** Aborts when the lease could not be renewed: from then on nothing may be changed any more. */
  lost: AbortSignal;
}

/** Runs `work` under the machine's lease. Waits while somebody else holds it; after two minutes the error names the holder. */
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
    // A renewal that arrives after the release would lease the machine anew, for nobody.
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
            `${pop}: ${error.detail}; waited ${waitTimeoutMs / 1000} s for it to end. It was not changed. Let the other deploy end, then run again.`,
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
      // An unknown nonce makes a new lease instead of an error: then ours had ended, and others may have come between.
      if (held.nonce !== nonce) {
        await fly.releaseLease(app, id, held.nonce).catch(() => undefined);
        lost.abort(new Error(`the lease of machine ${id} ended under way.`));
      } else if (!released) stopRenewal = scheduleRenewal();
    } catch (error) {
      lost.abort(new Error(`the lease of machine ${id} could not be renewed.`, { cause: error }));
    }
  }

  async function release(): Promise<void> {
    try {
      await fly.releaseLease(app, id, nonce);
    } catch (error) {
      // Whatever keeps us from giving it back, it ends by itself within a minute; the outcome of the work counts.
      if (!isNotFound(error) && !(error instanceof FlyError)) throw error;
    }
  }
}
