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
export const letGoMs = 150_000;
const pollMs = 2_000;

type World = Pick<Context, "fly" | "clock" | "log">;

/** A machine that is to be made. */
export interface Wanted {
  app: string;
  /** For messages, e.g. cdg-1. */
  pop: string;
  /** Name of the machine. */
  name: string;
  /** Id of the volume it mounts. */
  volume: string;
}

/** Posts a machine. While only a machine that is gone, or is going, has its name or volume, it is posted again. */
export async function postOnceFree<T>(wanted: Wanted, world: World, post: () => Promise<T>): Promise<T> {
  const { pop, volume } = wanted;
  const { clock, log } = world;
  const deadline = clock.now() + letGoMs;
  for (let told = false; ; told = true) {
    try {
      return await post();
    } catch (error) {
      if (!(isConflict(error) || isVolumeInUse(error)) || !(await isLeaving(error, wanted, world))) throw error;
      const what = isVolumeInUse(error) ? `volume ${volume} is` : `name ${wanted.name} is`;
      if (clock.now() >= deadline)
        throw new Error(
          `${pop}: no machine made, ${what} still held by a machine that went, after ${letGoMs / 1000} s (${error.message}). Run again.`,
          { cause: error },
        );
      if (!told) log(`${pop}: ${what} still held by a machine that went, waiting until Fly lets go of it`);
      await sleep(clock, pollMs);
    }
  }
}

/** Whether all that stands in the way is a machine on its way out. Whom no list shows any more is on it, too. */
async function isLeaving(error: FlyError, { app, name, volume }: Wanted, { fly }: World): Promise<boolean> {
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
export async function untilLetGo(
  { app, volume, machine }: { app: string; volume: string; machine: string },
  { fly, clock }: Pick<World, "fly" | "clock">,
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
  return (await pollUntil(clock, clock.now() + letGoMs, isFree)) ?? false;
}
