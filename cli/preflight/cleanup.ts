/** Removes a preflight's app with everything in it, and verifies that it is gone. */

import type { Fly } from "../../fly/api.ts";
import { isNotFound } from "../../fly/errors.ts";
import { isLive } from "../../fly/existence.ts";
import { newAppMs } from "../../fly/lag.ts";
import type { App } from "../../fly/wire.ts";
import { type Clock, sleep } from "../../lib/clock.ts";
import { foreignMachines, isPreflightApp } from "./ownership.ts";

const tries = 8;
const pauseMs = 3_000;

export interface Cleaning {
  /** A client that Ctrl-C does not abort. */
  fly: Fly;
  clock: Clock;
}

/** Leftover apps of earlier runs in the organization. */
export const leftovers = async (fly: Fly, organization: string): Promise<App[]> =>
  (await fly.listApps(organization)).filter(isPreflightApp);

/** What is known about an app that reads as absent: it was seen; its creation succeeded; its creation was requested. */
export type Existence = "seen" | "made" | "asked for";

/**
 * Removes the app. A new app may read as absent for a while, so this keeps checking until then.
 * @throws Error if it still exists, may still exist, or contains a machine that is not ours
 */
export async function removeApp(app: string, { fly, clock }: Cleaning, existence: Existence = "seen"): Promise<void> {
  const believedFrom = clock.now() + (existence === "seen" ? 0 : newAppMs);
  let failures = 0;
  let deleted = false;
  for (;;) {
    try {
      if (!deleted) {
        await deleteMachines(app, fly);
        await fly.deleteApp(app);
        deleted = true;
      }
      await fly.getApp(app);
      failures++;
    } catch (error) {
      if (error instanceof ForeignMachinesError) throw error;
      if (isNotFound(error)) {
        const believed = deleted || clock.now() >= believedFrom;
        if (believed && !deleted && existence === "made")
          throw new Error(
            `App ${app} was made, and Fly does not show it, so it could not be removed. ${retryAdvice(app)}`,
          );
        if (believed) return;
      } else if (++failures >= tries)
        throw new Error(
          `App ${app} could not be removed: ${error instanceof Error ? error.message : String(error)}. ${retryAdvice(app)}`,
          { cause: error },
        );
    }
    if (failures >= tries) throw new Error(`App ${app} was deleted, and Fly still shows it. ${retryAdvice(app)}`);
    await sleep(clock, pauseMs);
  }
}

const retryAdvice = (app: string): string =>
  `It costs money until it is gone. In some minutes: npx fly-pops preflight --clean, or: fly apps destroy ${app}`;

class ForeignMachinesError extends Error {}

/** Deletes machines first: they cost most, so none keeps running if deleting the app fails. */
async function deleteMachines(app: string, fly: Fly): Promise<void> {
  const machines = (await fly.listMachines(app)).filter(isLive);
  const others = foreignMachines(app, machines);
  if (others.length > 0)
    throw new ForeignMachinesError(
      `App ${app} has the name of a preflight's, but no preflight made ${others.map(({ id }) => `machine ${id}`).join(", ")} in it. It was left as it is. Look at it: fly machine list -a ${app}`,
    );
  // A machine still leased by a killed run cannot be deleted, but is deleted with the app, which ignores leases.
  for (const { id } of machines) await fly.deleteMachine(app, id, { force: true }).catch(() => undefined);
}
