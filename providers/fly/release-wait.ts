/**
 * A deleted machine keeps its name while its state is `destroying`, and its volume for up to two minutes more. Creates wait until both are released
 * instead of failing, and deletes return only once they are.
 */

import { type FlyError, isConflict, isNotFound, isVolumeInUse } from "../../fly/errors.ts";
import { isLive } from "../../fly/existence.ts";
import { pollUntil } from "../../fly/lag.ts";
import { sleep } from "../../lib/clock.ts";
import type { Context } from "../handler.ts";

/** How long Fly may take to release a volume or a name: two minutes have been seen. */
export const releaseTimeoutMs = 150_000;
const pollMs = 2_000;

type ReleaseContext = Pick<Context, "fly" | "clock" | "log">;

/** A machine to be created. */
export interface NewMachine {
  app: string;
  /** For messages, e.g. cdg-1. */
  pop: string;
  /** Name of the machine. */
  name: string;
  /** Id of the volume it mounts. */
  volume: string;
}

/** Creates a machine. If its name or volume is held only by a deleted machine, or one being deleted, the create is repeated until it is released. */
export async function createWhenReleased<T>(
  machine: NewMachine,
  context: ReleaseContext,
  create: () => Promise<T>,
): Promise<T> {
  const { pop, volume } = machine;
  const { clock, log } = context;
  const deadline = clock.now() + releaseTimeoutMs;
  for (let logged = false; ; logged = true) {
    try {
      return await create();
    } catch (error) {
      if (!(isConflict(error) || isVolumeInUse(error)) || !(await isBeingReleased(error, machine, context)))
        throw error;
      const what = isVolumeInUse(error) ? `volume ${volume} is` : `name ${machine.name} is`;
      if (clock.now() >= deadline)
        throw new Error(
          `${pop}: no machine created, ${what} still held by a deleted machine after ${releaseTimeoutMs / 1000} s (${error.message}). Run again.`,
          { cause: error },
        );
      if (!logged) log(`${pop}: ${what} still held by a deleted machine, waiting until Fly releases it`);
      await sleep(clock, pollMs);
    }
  }
}

/** Whether the name or volume is held only by a machine that is being deleted. A machine that no list shows counts as one. */
async function isBeingReleased(
  error: FlyError,
  { app, name, volume }: NewMachine,
  { fly }: ReleaseContext,
): Promise<boolean> {
  if (!isVolumeInUse(error)) return !(await fly.liveMachines(app)).some((it) => it.name === name);
  const { attached_machine_id: holder } = await fly.getVolume(app, volume);
  // Released since then, or not an id: 14 NUL characters have been seen.
  if (!holder || !/^[0-9a-f]+$/.test(holder)) return true;
  if (fly.hasDeleted(holder)) return true;
  return fly.getMachine(app, holder).then(
    (machine) => !isLive(machine),
    (unread: unknown) => {
      if (isNotFound(unread)) return true;
      throw unread;
    },
  );
}

/** Waits until Fly no longer reports the volume as attached to the machine. False: it still does after `releaseTimeoutMs`. */
export async function waitUntilDetached(
  { app, volume, machine }: { app: string; volume: string; machine: string },
  { fly, clock }: Pick<ReleaseContext, "fly" | "clock">,
): Promise<boolean> {
  const isFree = async (): Promise<true | undefined> => {
    const holder = await fly.getVolume(app, volume).then(
      ({ attached_machine_id }) => attached_machine_id,
      (error: unknown) => {
        if (isNotFound(error)) return undefined;
        throw error;
      },
    );
    return holder === machine ? undefined : true;
  };
  return (await pollUntil(clock, clock.now() + releaseTimeoutMs, isFree)) ?? false;
}
