/** Takes a preflight's app away with all that is in it, and makes sure that it is gone. */
import { type Clock, sleep } from "../../providers/clock.ts";
import type { Fly } from "../../providers/fly/api.ts";
import { isNotFound } from "../../providers/fly/errors.ts";
import { isLive } from "../../providers/fly/existence.ts";
import { newAppMs } from "../../providers/fly/lag.ts";
import type { App } from "../../providers/fly/wire.ts";
import { foreign, isOurs } from "./marks.ts";

const tries = 8;
const pauseMs = 3_000;

export interface Cleaning {
  /** A client that no Ctrl-C ends. */
  fly: Fly;
  clock: Clock;
}

/** Apps in the organization that earlier runs have left. */
export const leftovers = async (fly: Fly, organization: string): Promise<App[]> =>
  (await fly.listApps(organization)).filter(isOurs);

/** What is known of an app that reads as absent: it was listed or seen; its create was answered; its create was sent. */
export type Existence = "seen" | "made" | "asked for";

/**
 * Removes the app. One that was made may read as absent for a while, and is looked for until then.
 * @throws Error a sentence, when it is or may be still there in the end, or holds a machine that is not ours
 */
export async function removeApp(app: string, { fly, clock }: Cleaning, existence: Existence = "seen"): Promise<void> {
  const believedFrom = clock.now() + (existence === "seen" ? 0 : newAppMs);
  let failures = 0;
  let deleted = false;
  for (;;) {
    try {
      if (!deleted) {
        await emptyOfMachines(app, fly);
        await fly.deleteApp(app);
        deleted = true;
      }
      await fly.getApp(app);
      failures++;
    } catch (error) {
      if (error instanceof Foreign) throw error;
      if (isNotFound(error)) {
        const believed = deleted || clock.now() >= believedFrom;
        if (believed && !deleted && existence === "made")
          throw new Error(`App ${app} was made, and Fly does not show it, so it could not be removed. ${again(app)}`);
        if (believed) return;
      } else if (++failures >= tries)
        throw new Error(
          `App ${app} could not be removed: ${error instanceof Error ? error.message : String(error)}. ${again(app)}`,
          { cause: error },
        );
    }
    if (failures >= tries) throw new Error(`App ${app} was deleted, and Fly still shows it. ${again(app)}`);
    await sleep(clock, pauseMs);
  }
}

const again = (app: string): string =>
  `It costs money until it is gone. In some minutes: npx fly-pops preflight --clean, or: fly apps destroy ${app}`;

class Foreign extends Error {}

/** Machines first: they cost most, and a failure to delete the app leaves none running. */
async function emptyOfMachines(app: string, fly: Fly): Promise<void> {
  const machines = (await fly.listMachines(app)).filter(isLive);
  const others = foreign(app, machines);
  if (others.length > 0)
    throw new Foreign(
      `App ${app} has the name of a preflight's, but no preflight made ${others.map(({ id }) => `machine ${id}`).join(", ")} in it. It was left as it is. Look at it: fly machine list -a ${app}`,
    );
  // A machine whose lease a killed run still holds refuses; it goes with the app, which no lease protects.
  for (const { id } of machines) await fly.deleteMachine(app, id, { force: true }).catch(() => undefined);
}
