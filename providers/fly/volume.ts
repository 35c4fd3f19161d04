/** A Fly volume: the disk of one PoP, with its identity and its cache. It outlives its machine, is bound to one host, and cannot shrink. */
import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { FlyError, isHostFailure, isNotFound, isOutOfCapacity, mayHaveApplied } from "../../fly/errors.ts";
import { isLive, isStillListed } from "../../fly/existence.ts";
import { pollUntil, staleReadMs, visibleBy } from "../../fly/lag.ts";
import { nearestOpenText, regionByCode } from "../../fly/regions.ts";
import { snapshotDaysOf, snapshotFields } from "../../fly/snapshots.ts";
import type * as wire from "../../fly/wire.ts";
import { sleep } from "../../lib/clock.ts";
import { type ChangeAction, type CheckFailure, type Context, type Handler, noRecords } from "../handler.ts";
import { type Args, FlyResource } from "../resource.ts";
import { forgetAdvice } from "./machine-delete.ts";
import { cachedForeignMachineIn, foreignMachineWith, sharedAppText } from "./owner.ts";
import { releaseTimeoutMs } from "./release-wait.ts";

const lifecycle = {
  pop: "ignored",
  app: "replace",
  name: "replace",
  region: "replace", // a volume cannot change its region
  sizeGb: "update", // grows in place; check rejects a smaller size
  snapshotDays: "update",
  guest: "ignored", // only a hint for its placement
  organization: "ignored",
  adopt: "ignored", // used at create only
  kept: "ignored", // handled by the engine
  owner: "ignored", // a volume has no mark
  adoptFrom: "ignored", // used at create only
} satisfies Record<keyof VolumeInputs, ChangeAction>;

export const VolumeInputs = z.strictObject({
  /** PoP it belongs to, for messages. */
  pop: z.string(),
  app: z.string().min(1),
  /** Volume names are not unique on Fly; ours are unique per region. */
  name: z.string().regex(/^[a-z0-9_]{1,30}$/, "takes up to 30 characters of a-z, 0-9 and _"),
  region: z.string().min(1),
  /** GB, 1 to 500. */
  sizeGb: z.int().min(1).max(500),
  /** Days for which Fly keeps daily snapshots, 0 to 60. 0: no snapshots are taken. */
  snapshotDays: z.int().min(0).max(60),
  /** Id of a volume of the app to adopt, with its contents. Absent: the one of this name, or a new one. */
  adopt: z.string().optional(),
  /** Whether it is kept on Fly when its PoP is removed. Same as the resource's retainOnDelete, which Pulumi does not show to policies. Absent: unknown. */
  kept: z.boolean().optional(),
  /** The stack it belongs to, as organization/project/stack. Absent in the state of older versions. */
  owner: z.string().min(1).optional(),
  /** A stack, as organization/project/stack, whose objects may be adopted. Absent: none. */
  adoptFrom: z.string().min(1).optional(),
  /** Slug of the organization, for the placement query. */
  organization: z.string().min(1),
  /** Size of the machine that will mount it, so that Fly chooses a host with capacity for both. */
  guest: z.strictObject({ cpu_kind: z.string(), cpus: z.int(), memory_mb: z.int() }),
});
export type VolumeInputs = z.infer<typeof VolumeInputs>;
export type VolumeOutputs = VolumeInputs & {
  schemaVersion: 1;
  /** The host it is on; null: Fly does not say. */
  zone: string | null;
  /** False if it could not be extended because its host does not answer: the next `up` extends it. */
  complete?: false;
};

const toOutputs = (inputs: VolumeInputs, volume: wire.Volume): VolumeOutputs => ({
  ...inputs,
  schemaVersion: 1,
  zone: volume.zone ?? null,
});

const readyStates = new Set(["created", "hydrating"]);

/** How long Fly may take until a new or restored volume is ready. */
const readyTimeoutMs = 150_000;
const pollMs = 2_000;

async function find(
  { app, name, region, pop }: VolumeInputs,
  { fly, givenUp }: Context,
): Promise<wire.Volume | undefined> {
  const found = (await fly.liveVolumes(app)).filter(
    (it) => it.name === name && (it.region ?? region) === region && !givenUp?.has(it.id),
  );
  if (found.length > 1)
    throw new Error(
      `${pop}: ${app} has ${found.length} volumes ${name} in ${region} (${found.map((it) => it.id).join(", ")}), so it is unclear which one is this PoP's. None was adopted. Destroy the ones without data: fly volumes destroy ID -a ${app}`,
    );
  return found[0];
}

/** The volume of this name. Throws if it is attached to a machine of another stack, as the PoP's machine could not mount it. */
async function findOwn(inputs: VolumeInputs, context: Context): Promise<wire.Volume | undefined> {
  const volume = await find(inputs, context);
  const holder = volume && (await foreignMachineWith(volume, inputs, context));
  if (!holder) return volume;
  throw new Error(
    `${inputs.pop}: volume ${volume.id} is mounted by machine ${holder.machine}, which belongs to ${holder.stack === undefined ? "no stack of fly-pops" : `stack ${holder.stack}`}. It was not adopted. Choose another fly-pops:app. If both should become this PoP's, name them in fly-pops:adopt.pops.${inputs.pop}`,
  );
}

/** The volume to adopt. It must exist, be in the PoP's region, and not be larger than the desired size. */
async function findAdopted(id: string, inputs: VolumeInputs, context: Context): Promise<wire.Volume> {
  const volume = await findById(id, inputs, context);
  const refusal =
    volume === undefined
      ? `${inputs.app} has no such volume`
      : volume.region !== undefined && volume.region !== inputs.region
        ? `it is in ${volume.region}, not in ${inputs.region}`
        : (volume.size_gb ?? 0) > inputs.sizeGb
          ? `it has ${volume.size_gb} GB and cannot shrink: set volumeGb: ${volume.size_gb}`
          : undefined;
  if (volume && refusal === undefined) return volume;
  throw new Error(
    `${inputs.pop}: volume ${id} cannot be adopted, ${refusal}. It was not changed. Correct fly-pops:adopt.`,
  );
}

/**
 * Returns the volume if it really exists. A read can come from a server that does not know of its deletion, but a write is answered by the volume's
 * host, which knows. So this sets the desired snapshots, which changes nothing if they are set already. A 404 counts only once the volume is no longer
 * listed.
 */
async function confirmExists(
  shown: wire.Volume,
  inputs: VolumeInputs,
  context: Context,
): Promise<wire.Volume | undefined> {
  try {
    if (snapshotDaysOf(shown, inputs.snapshotDays) !== inputs.snapshotDays)
      return await setSnapshots(shown.id, inputs, context);
    await context.fly.updateVolume(inputs.app, shown.id, snapshotFields(inputs.snapshotDays));
    return shown;
  } catch (error) {
    if (!(error instanceof FlyError)) throw error;
    const isSaidGone = isNotFound(error) || (error.status === 412 && /destroy/.test(error.detail));
    if (!isSaidGone) return shown;
    const isShown = async () => (await findById(shown.id, inputs, context)) !== undefined;
    if (await isStillListed(context.clock, isShown)) return shown;
    // So that no later read of a list takes it for the volume to be created.
    context.fly.rememberDeleted(shown.id);
    return undefined;
  }
}

/** The volume of a create that reported an error. A list may still show a volume that was deleted before. */
async function findMade(inputs: VolumeInputs, context: Context): Promise<wire.Volume | undefined> {
  const shown = await find(inputs, context);
  return shown && (await confirmExists(shown, inputs, context));
}

/** The new volume after a host migration: it has the same name and is not attached to a machine of another stack. */
async function findMoved(inputs: VolumeInputs, context: Context): Promise<wire.Volume | undefined> {
  const volume = await find(inputs, context);
  return volume && (await foreignMachineWith(volume, inputs, context))?.stack === undefined ? volume : undefined;
}

async function waitUntilReady(
  volume: wire.Volume,
  inputs: VolumeInputs,
  { fly, clock }: Context,
): Promise<wire.Volume> {
  const deadline = clock.now() + readyTimeoutMs;
  let seen = volume;
  while (!readyStates.has(seen.state ?? "created")) {
    if (clock.now() > deadline)
      throw new Error(
        `${inputs.pop}: volume ${volume.id} is still ${seen.state} after ${readyTimeoutMs / 1000} s. It was kept. Run again: it is found then.`,
      );
    await sleep(clock, pollMs);
    seen = await fly.getVolume(inputs.app, volume.id);
  }
  return seen;
}

async function findById(
  id: string,
  { app }: VolumeInputs,
  { fly, givenUp }: Context,
): Promise<wire.Volume | undefined> {
  if (givenUp?.has(id)) return undefined;
  try {
    const volume = await fly.getVolume(app, id);
    return isLive(volume) ? volume : undefined;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/**
 * Extends the volume. After any response but success the volume is read: Fly rejects an extension to the current size, and after a host migration
 * the volume has another id.
 */
async function extend(id: string, inputs: VolumeInputs, context: Context): Promise<wire.ExtendVolume> {
  const { app, sizeGb } = inputs;
  try {
    return await context.fly.extendVolume(app, id, sizeGb);
  } catch (error) {
    if (!(error instanceof FlyError)) throw error;
    const { clock } = context;
    const isIt = (volume: wire.Volume | undefined) => volume && (volume.id !== id || (volume.size_gb ?? 0) >= sizeGb);
    const volume = await pollUntil(clock, visibleBy(error, clock), async () => {
      const seen = (await findById(id, inputs, context)) ?? (await findMoved(inputs, context));
      return isIt(seen) ? seen : undefined;
    });
    if (!volume) throw error;
    if ((volume.size_gb ?? 0) >= sizeGb) return { volume };
    return context.fly.extendVolume(app, volume.id, sizeGb);
  }
}

/** Sets whether Fly takes snapshots and how long it keeps them. The volume may have got another id by a host migration. */
async function setSnapshots(id: string, inputs: VolumeInputs, context: Context): Promise<wire.Volume> {
  const { app, pop, snapshotDays: days } = inputs;
  const set = (volume: string) => context.fly.updateVolume(app, volume, snapshotFields(days));
  const volume = await set(id).catch(async (error: unknown) => {
    const moved = isNotFound(error) ? await findMoved(inputs, context) : undefined;
    if (!moved) throw error;
    return set(moved.id);
  });
  context.log(
    `${pop}: Fly ${days === 0 ? "takes no snapshots" : `keeps daily snapshots for ${days} ${days === 1 ? "day" : "days"}`} of volume ${volume.id} from now on; existing snapshots expire by themselves`,
  );
  return volume;
}

const isUnreachable = (id: string, inputs: VolumeInputs, context: Context): Promise<boolean> =>
  context.fly.getVolume(inputs.app, id).then(
    ({ host_status }) => host_status === "unreachable",
    () => false,
  );

/** Deletes a volume once it is detached. Succeeds if it is already gone. */
export async function deleteWhenDetached(
  id: string,
  { app, pop }: Pick<VolumeInputs, "app" | "pop">,
  { fly, clock }: Pick<Context, "fly" | "clock">,
): Promise<void> {
  const deadline = clock.now() + releaseTimeoutMs;
  for (;;) {
    try {
      await fly.deleteVolume(app, id);
      return;
    } catch (error) {
      if (isNotFound(error)) return;
      if (isHostFailure(error))
        throw new Error(
          `${pop}: volume ${id} was not deleted: its host does not answer (${error.message}). Run again when https://status.flyio.net reports that the host is back. ${forgetAdvice(`edge-${pop}-volume`)}`,
          { cause: error },
        );
      // A volume stays attached for up to two minutes after its machine was deleted.
      if (!(error instanceof FlyError) || error.status !== 412) throw error;
      if (clock.now() > deadline)
        throw new Error(
          `${pop}: the volume was not deleted: ${error.message}. If that machine is not needed, destroy it (fly machine destroy -a ${app}), then run again.`,
          { cause: error },
        );
      await sleep(clock, pollMs);
    }
  }
}

function noRoomError(inputs: VolumeInputs, why: string, cause?: FlyError): Error {
  return new Error(
    `${inputs.pop}: no volume created, ${inputs.region} has no capacity for ${inputs.sizeGb} GB and its machine (${why}). Try again later, or choose a smaller volumeGb or size, or another region.`,
    cause && { cause },
  );
}

const closedRegionError = ({ pop, region }: VolumeInputs): Error =>
  new Error(
    `${pop}: no volume created, Fly takes no new machines in ${region}. Choose another region.${nearestOpenText(region)}`,
  );

async function isRegionClosed(region: string, fly: Context["fly"]): Promise<boolean> {
  try {
    const found = (await fly.regions()).find(({ code }) => code === region);
    return found === undefined || found.deprecated === true;
  } catch (error) {
    if (!(error instanceof FlyError)) throw error;
    return regionByCode(region)?.deprecated ?? false;
  }
}

/** Throws if Fly has no capacity for volume and machine, before anything is created. If Fly does not answer the query, the create itself will show. */
async function assertRegionHasRoom(inputs: VolumeInputs, { fly }: Context): Promise<void> {
  // Asked only for a region that our table has as closed, so that other regions cost no call. If Fly does not answer, the table counts.
  if (regionByCode(inputs.region)?.deprecated !== false && (await isRegionClosed(inputs.region, fly)))
    throw closedRegionError(inputs);
  try {
    const open = await fly.placements({
      region: inputs.region,
      compute: inputs.guest,
      count: 1,
      volume_name: inputs.name,
      volume_size_bytes: inputs.sizeGb * 1024 ** 3,
      org_slug: inputs.organization,
    });
    if (!open.includes(inputs.region)) throw noRoomError(inputs, "by the placement query");
  } catch (error) {
    if (!(error instanceof FlyError)) throw error;
  }
}

/** Creates the volume on a host without another volume of the app, so that a failing host affects one PoP only; on any host if there is none. */
async function createOnSeparateHost(inputs: VolumeInputs, context: Context): Promise<wire.Volume> {
  try {
    return await createOrSettle(inputs, { unique_zone_app_wide: true }, context);
  } catch (error) {
    // Fly reports in many ways that there is no such host. If there is no capacity at all, the second create fails too.
    if (!isOutOfCapacity(error) && !(error instanceof FlyError && error.status === 412)) throw error;
    // An error may be returned for a create that took effect, and a read may not show it yet.
    const { clock } = context;
    const made = await pollUntil(clock, visibleBy(error, clock), () => findMade(inputs, context));
    if (made) return made;
    const volume = await createOrSettle(inputs, {}, context).catch((second: unknown) => {
      throw isOutOfCapacity(second) ? noRoomError(inputs, second.message, second) : second;
    });
    context.log(await sharedHostText(volume, inputs, context));
    return volume;
  }
}

async function sharedHostText(
  { id, zone }: wire.Volume,
  { pop, app, region }: VolumeInputs,
  { fly }: Context,
): Promise<string> {
  const beside = (await fly.listVolumes(app)).filter((it) => it.zone && it.zone === zone && it.id !== id && isLive(it));
  const whom = beside.map((it) => `${it.name ?? ""} (${it.id})`).join(", ");
  return `${pop}: Fly has no host left in ${region} without a volume of ${app}, so ${pop} is on ${zone ?? "one"}${whom && ` beside ${whom}`}. If that host fails, both are down. Once there is another host: npx fly-pops replace ${pop}`;
}

async function createOrSettle(
  inputs: VolumeInputs,
  placement: Pick<wire.CreateVolume, "unique_zone_app_wide">,
  context: Context,
): Promise<wire.Volume> {
  try {
    return await context.fly.createVolume(inputs.app, {
      name: inputs.name,
      region: inputs.region,
      size_gb: inputs.sizeGb,
      encrypted: true,
      compute: inputs.guest,
      ...snapshotFields(inputs.snapshotDays),
      ...placement,
    });
  } catch (error) {
    if (!mayHaveApplied(error)) throw error;
    const { clock } = context;
    // It can be found only by name and region; a second one could not be told apart.
    const made = await pollUntil(clock, visibleBy(error, clock), () => findMade(inputs, context));
    if (made) return made;
    throw error;
  }
}

export const volumeHandler = {
  schema: VolumeInputs,
  lifecycle,
  hints: ["guest"],
  // The old volume holds data: it is deleted last.
  deleteBeforeReplace: false,
  isPartial: ({ complete }) => complete === false,
  check(olds, news): CheckFailure[] {
    const same = olds && olds.app === news.app && olds.name === news.name && olds.region === news.region;
    if (!same || news.sizeGb >= olds.sizeGb) return [];
    return [
      {
        property: "sizeGb",
        reason: `${news.pop}: the volume has ${olds.sizeGb} GB and a volume cannot shrink, so volumeGb cannot become ${news.sizeGb}. Set it to ${olds.sizeGb}, or remove the PoP and create it again.`,
      },
    ];
  },
  async conflict(inputs, context) {
    const foreign = await cachedForeignMachineIn(inputs, context);
    return foreign && sharedAppText(inputs.app, foreign, `No volume was created or adopted for ${inputs.pop}.`);
  },
  async create(inputs, context) {
    const conflict = await volumeHandler.conflict(inputs, context);
    if (conflict !== undefined) throw new Error(conflict);
    const shown =
      inputs.adopt === undefined ? await findOwn(inputs, context) : await findAdopted(inputs.adopt, inputs, context);
    const found = shown && (await confirmExists(shown, inputs, context));
    if (shown && !found && inputs.adopt !== undefined)
      throw new Error(`${inputs.pop}: volume ${shown.id} cannot be adopted, it was deleted. Correct fly-pops:adopt.`);
    if (found) {
      context.log(`${inputs.pop}: volume ${found.id} exists, adopted`);
      if ((found.size_gb ?? inputs.sizeGb) < inputs.sizeGb) await extend(found.id, inputs, context);
    }
    if (!found) await assertRegionHasRoom(inputs, context);
    const volume = await waitUntilReady(found ?? (await createOnSeparateHost(inputs, context)), inputs, context);
    if (snapshotDaysOf(volume, inputs.snapshotDays) !== inputs.snapshotDays)
      await setSnapshots(volume.id, inputs, context);
    return { id: volume.id, outs: toOutputs(inputs, volume) };
  },
  async read(id, outs, context) {
    const { clock } = context;
    const look = async () => (await findById(id, outs, context)) ?? (await findMoved(outs, context));
    const volume = await pollUntil(clock, clock.now() + staleReadMs, look);
    if (!volume) return undefined;
    if (volume.id !== id)
      context.log(`${outs.pop}: Fly moved volume ${id} to another host, where its id is ${volume.id}`);
    const { schemaVersion: _, zone: __, complete: ___, ...kept } = outs;
    const inputs = {
      ...kept,
      region: volume.region ?? outs.region,
      sizeGb: volume.size_gb ?? outs.sizeGb,
      snapshotDays: snapshotDaysOf(volume, outs.snapshotDays),
    };
    return { id: volume.id, outs: toOutputs(inputs, volume), inputs };
  },
  async update(id, olds, news, context) {
    const { complete: _, ...before } = olds;
    if (news.snapshotDays !== olds.snapshotDays) await setSnapshots(id, news, context);
    if (news.sizeGb <= olds.sizeGb) return { ...before, ...news, sizeGb: olds.sizeGb };
    const grown = await extend(id, news, context).catch(async (error: unknown) => {
      if (!isHostFailure(error) || !(await isUnreachable(id, news, context))) throw error;
      context.log(
        `${news.pop}: volume ${id} was not extended: its host does not answer. Nothing was changed there. Run again when https://status.flyio.net reports that the host is back.`,
      );
      return undefined;
    });
    if (!grown) return { ...before, ...news, sizeGb: olds.sizeGb, complete: false };
    const { volume, needs_restart } = grown;
    context.log(
      `${news.pop}: volume ${id} grew from ${olds.sizeGb} to ${news.sizeGb} GB${needs_restart ? "; its file system grows when its machine boots again, which happens next" : ""}`,
    );
    return toOutputs(news, volume);
  },
  async delete(id, outs, context, { kept } = noRecords) {
    await deleteWhenDetached(id, outs, context);
    // After a host migration it has another id, by which a forced replacement may have found it.
    const moved = await findMoved(outs, context);
    if (moved && !kept.has(moved.id)) await deleteWhenDetached(moved.id, outs, context);
  },
} satisfies Handler<VolumeInputs, VolumeOutputs>;

export class Volume extends FlyResource<VolumeInputs> {
  /** The host it is on; null: Fly does not say. */
  declare readonly zone: pulumi.Output<string | null>;
  declare readonly sizeGb: pulumi.Output<number>;
  /** False if it could not be extended because its host does not answer. */
  declare readonly complete: pulumi.Output<boolean | undefined>;
  constructor(name: string, args: Args<VolumeInputs>, opts?: pulumi.CustomResourceOptions) {
    super("Volume", name, args, { schemaVersion: undefined, zone: undefined, complete: undefined }, opts);
  }
}
