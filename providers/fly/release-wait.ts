/**
 * A machine that went holds on to things for a while: its name while it reads `destroying`, its volume for up to two minutes more. Creates wait for
 * that instead of failing at it, and deletes do not end before it.
 */
import { sleep } from "../clock.ts";
import type { Context } from "../handler.ts";
import { type FlyError, isConflict, isNotFound, isVolumeInUse } from "./errors.ts";
import { isLive } from "./existence.ts";
import { pollUntil } from "./lag.ts";

/** How long Fly may take to let go of a volume or a name: two minutes have been seen. */
export const releaseTimeoutMs = 150_000;
const pollMs = 2_000;

type ReleaseContext = Pick<Context, "fly" | "clock" | "log">;

/** A machine that is to be made. */
export interface NewMachine {
  app: string;
  /** For messages, e.g. cdg-1. */
  pop: string;
  /** Name of the machine. */
  name: string;
  /** Id of the volume it mounts. */
  volume: string;
}

/** Posts a machine. While only a machine that is gone, or is going, has its name or volume, it is posted again. */
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
          `${pop}: no machine made, ${what} still held by a machine that went, after ${releaseTimeoutMs / 1000} s (${error.message}). Run again.`,
          { cause: error },
        );
      if (!logged) log(`${pop}: ${what} still held by a machine that went, waiting until Fly lets go of it`);
      await sleep(clock, pollMs);
    }
  }
}

/** Whether all that stands in the way is a machine on its way out. Whom no list shows any more is on it, too. */
async function isBeingReleased(
  error: FlyError,
  { app, name, volume }: NewMachine,
  { fly }: ReleaseContext,
): Promise<boolean> {
  if (!isVolumeInUse(error)) return !(await fly.liveMachines(app)).some((it) => it.name === name);
  const { attached_machine_id: holder } = await fly.getVolume(app, volume);
  // Let go of since then; or an id that is none, 14 NUL characters have been seen.
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

/** Waits until Fly no longer says that the machine has the volume. False: it still does after all the patience there is. */
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
