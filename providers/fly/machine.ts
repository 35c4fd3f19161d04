/** The machine of one PoP. Bound to its volume, the same for life: changes of its config happen in place. */
import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { sleep } from "../clock.ts";
import { type ChangeAction, type Context, type Handler, PartialResourceError, requiresUpdate } from "../handler.ts";
import { type Args, FlyResource } from "../resource.ts";
import { assertKeyUsable, TailnetJoin } from "../tailnet/joins.ts";
import {
  HostUnreachable,
  isConflict,
  isHostFailure,
  isNotFound,
  isOutOfCapacity,
  isVolumeInUse,
  isVolumeMissing,
  mayHaveApplied,
  withAdvice,
} from "./errors.ts";
import { isLive, retryNotFound } from "./existence.ts";
import { pollUntil, staleReadMs, visibleBy } from "./lag.ts";
import { destroyMachine } from "./machine-delete.ts";
import { checksOf, UnhealthyError, waitUntilHealthy } from "./machine-health.ts";
import { UpdateFailed, type UpdateTarget, updateVerified } from "./machine-update.ts";
import { alignToDesired, sameConfig } from "./normalise.ts";
import { isOwnStackOf, ownerKeys, ownerOf } from "./owner.ts";
import { createWhenReleased } from "./release-wait.ts";
import { isTransitional } from "./version-watch.ts";
import * as wire from "./wire.ts";

/** How long a refresh waits for a machine on its way from one state to another. */
const restartMs = 30_000;
/** A check that fails for so long is no passing trouble. */
const unhealthyMs = 60_000;
const unhealthyPollMs = 10_000;

const lifecycle = {
  pop: "ignored",
  app: "replace",
  name: "replace", // Fly takes another name in an update and ignores it
  region: "replace",
  volume: "replace", // a mount cannot be swapped
  mountPath: "update",
  config: "update",
  owner: "update",
  routed: "update",
  state: "update",
  adopt: "ignored", // said once, at create
  adoptFrom: "ignored", // the same
  joins: "ignored", // looked at while the PoP has yet to join
  timeoutSeconds: "ignored",
  drainSeconds: "ignored",
  maxUnavailable: "ignored",
  maxUnavailableInRegion: "ignored",
} satisfies Record<keyof MachineInputs, ChangeAction>;

export const MachineInputs = z.strictObject({
  /** PoP it is, for messages, e.g. cdg-1. */
  pop: z.string(),
  app: z.string().min(1),
  /** Unique among the app's machines: what makes a second create impossible. */
  name: z.string().min(1),
  region: z.string().min(1),
  /** Id of the volume; the machine goes to its host. */
  volume: z.string().min(1),
  /** Where the volume is mounted, e.g. /var */
  mountPath: z.string().startsWith("/"),
  /** The machine's config in the API's own words, without mounts and owner metadata, which come from here. */
  config: wire.MachineConfig,
  /** The stack this machine belongs to, as organization/project/stack; kept in its metadata. */
  owner: z.string().min(1),
  /** Id of a machine of the app to be taken over: it gets our config in place. Absent: the one of our name, or a new one. */
  adopt: z.string().optional(),
  /** A stack, named as the owner is, whose things may be taken over. Absent: nobody's. */
  adoptFrom: z.string().min(1).optional(),
  /** How it joins the tailnet, where its key is made for it. Absent: it joins none, or by a key of the operator's. */
  joins: TailnetJoin.optional(),
  /** Whether Fly Proxy sends it traffic; false leaves it cordoned. */
  routed: z.boolean(),
  /** What it is to be: `started`. A refresh puts there what it found: Fly's word for the state, or `unhealthy`. */
  state: z.string(),
  /** Seconds a version may take until all its checks pass. */
  timeoutSeconds: z.int().min(1),
  /** Seconds between cordon and stop. 0: none. */
  drainSeconds: z.int().min(0),
  /** Machines of the app that may be out of service at once. */
  maxUnavailable: z.int().min(1),
  /** Machines of the app in this region that may be out of service at once. */
  maxUnavailableInRegion: z.int().min(1),
});
export type MachineInputs = z.infer<typeof MachineInputs>;
export type MachineOutputs = MachineInputs & {
  schemaVersion: 1;
  /** Version that runs. */
  instanceId: string;
  privateIp: string;
  /** False after a create or update that did not come to its end: the next `up` takes it up again. */
  complete: boolean;
};

export const toWire = ({ config, volume, mountPath, owner, pop }: MachineInputs): wire.MachineConfig => ({
  ...config,
  mounts: [{ volume, path: mountPath }],
  metadata: { ...config.metadata, [ownerKeys.stack]: owner, [ownerKeys.pop]: pop },
});

/** The inverse: a config as found, in the shape of inputs. */
function fromWire(found: wire.MachineConfig, image: wire.Machine["image_ref"], desired: MachineInputs): MachineInputs {
  const { mounts, metadata, ...config } = alignToDesired(toWire(desired), found, image);
  const { [ownerKeys.stack]: owner, [ownerKeys.pop]: pop = "none", ...rest } = metadata ?? {};
  const own = owner === undefined || pop === desired.pop ? rest : { ...rest, [ownerKeys.pop]: pop };
  return {
    ...desired,
    config: desired.config.metadata || Object.keys(own).length > 0 ? { ...config, metadata: own } : config,
    // Host migration gives a volume another id while machine and mount stay: taken over, no reason to replace anything.
    volume: mounts?.[0]?.volume ?? desired.volume,
    mountPath: mounts?.[0]?.path ?? desired.mountPath,
    // Another stack's is not taken back: state goes on to say whose it was, and whatever would touch it refuses.
    owner: owner ? desired.owner : "",
  };
}

const toOutputs = (inputs: MachineInputs, machine: wire.Machine, complete: boolean): MachineOutputs => ({
  ...inputs,
  schemaVersion: 1,
  instanceId: machine.instance_id ?? "",
  state: machine.state ?? "unknown",
  privateIp: machine.private_ip ?? "",
  complete,
});

/** Half made: what it was last seen to be, which for one taken over is not yet what it is to become. */
const outputsFromMachine = (inputs: MachineInputs, machine: wire.Machine): MachineOutputs =>
  toOutputs(machine.config ? fromWire(machine.config, machine.image_ref, inputs) : inputs, machine, false);

function toInputs({
  schemaVersion: _,
  instanceId: _i,
  privateIp: _p,
  complete: _c,
  ...inputs
}: MachineOutputs): MachineInputs {
  return inputs;
}

/** `owners`: the stacks it may belong to, the one it was in before among them (a stack that was renamed, a machine that was moved here). */
const updateTarget = (
  id: string,
  { app, pop, timeoutSeconds, drainSeconds, routed, owner, adoptFrom }: MachineInputs,
  { formerNames = new Set() }: Pick<Context, "formerNames">,
  olds?: MachineOutputs,
): UpdateTarget => ({
  owners: [owner, olds?.owner, adoptFrom, ...formerNames].filter((it) => it !== undefined),
  app,
  id,
  pop,
  timeoutSeconds,
  drainSeconds,
  routed,
});

/** The machine of this name, if it is ours. */
async function findOwn(inputs: MachineInputs, context: Context): Promise<wire.Machine | undefined> {
  const { fly } = context;
  const machine = (await fly.liveMachines(inputs.app)).find((it) => it.name === inputs.name);
  if (!machine) return undefined;
  const owner = ownerOf(machine);
  if (owner !== undefined && isOwnStackOf(inputs, context)(owner)) return machine;
  throw new Error(
    `${inputs.pop}: ${inputs.app} has a machine named ${inputs.name} already (${machine.id}), and it belongs to ${owner ? `stack ${owner}` : "no stack of fly-pops"}. It was not changed. Destroy or rename it, or take another fly-pops:app.`,
  );
}

/** The machine to be taken over: it must be there, be nobody else's, and have the PoP's volume, since a mount cannot be swapped. */
async function findAdopted(id: string, inputs: MachineInputs, { fly }: Context): Promise<wire.Machine> {
  const machine = await fly.getMachine(inputs.app, id).catch((error: unknown) => {
    if (isNotFound(error)) return undefined;
    throw error;
  });
  const owner = machine && ownerOf(machine);
  const mounted = machine?.config?.mounts?.[0]?.volume;
  const refusal =
    machine === undefined || machine.state === "destroyed"
      ? `${inputs.app} has no such machine`
      : owner !== undefined && owner !== inputs.owner && owner !== inputs.adoptFrom
        ? `it belongs to stack ${owner}`
        : machine.region !== undefined && machine.region !== inputs.region
          ? `it runs in ${machine.region}, not in ${inputs.region}`
          : mounted !== inputs.volume
            ? `its volume is ${mounted ?? "none"}, not ${inputs.volume}, and a mount cannot be swapped`
            : undefined;
  if (machine && refusal === undefined) return machine;
  throw new Error(
    `${inputs.pop}: machine ${id} cannot be adopted, ${refusal}. It was not changed. Correct fly-pops:adopt.`,
  );
}

/** Makes the machine, or finds the one that an earlier, cut-off run made. */
async function createOrFind(
  inputs: MachineInputs,
  context: Context,
): Promise<{ machine: wire.Machine; created: boolean }> {
  const { fly } = context;
  const body = { name: inputs.name, region: inputs.region, config: toWire(inputs) };
  try {
    return {
      machine: await createWhenReleased(inputs, context, () => fly.createMachine(inputs.app, body)),
      created: true,
    };
  } catch (error) {
    const stranded = await strandedVolumeError("no machine made", inputs, error, context);
    if (stranded) throw stranded;
    // The name is unique, so "exists", "volume taken" and "no answer" all end in looking for it.
    if (!isConflict(error) && !isVolumeInUse(error) && !mayHaveApplied(error)) throw error;
    const { clock } = context;
    const machine = await pollUntil(clock, visibleBy(error, clock), () => findOwn(inputs, context));
    if (!machine && isVolumeInUse(error))
      throw new Error(
        `${inputs.pop}: no machine made, ${error.message}. That machine is not this PoP's, and was not changed. Look at it: fly machine status -a ${inputs.app}; destroy it if nobody needs it, then run again.`,
        { cause: error },
      );
    if (!machine) throw error;
    // What stands there after a lost answer need not be what was just posted: an earlier run's may be it.
    const config = machine.config;
    return {
      machine,
      created: mayHaveApplied(error) && !!config && sameConfig(toWire(inputs), config, machine.image_ref),
    };
  }
}

/** The volume is there and no machine can be made beside it: a sentence for that. */
export async function strandedVolumeError(
  what: string,
  { app, pop, region, volume }: Pick<MachineInputs, "app" | "pop" | "region" | "volume">,
  error: unknown,
  { fly }: Pick<Context, "fly">,
): Promise<Error | undefined> {
  const anew = `npx fly-pops replace ${pop} gives up the volume and makes the PoP anew, elsewhere in ${region}.`;
  if (isOutOfCapacity(error))
    return new Error(
      `${pop}: ${what}, there is no room for it beside volume ${volume} in ${region} (${error.message}). The volume is kept. Try again later, or take a smaller size. If its host stays full: ${anew}`,
      { cause: error },
    );
  if (!isVolumeMissing(error)) return undefined;
  const reads = await fly.getVolume(app, volume).then(isLive, () => false);
  return new Error(
    reads
      ? `${pop}: ${what}, Fly shows volume ${volume} but cannot mount it (${error.message}). The volume is kept. Run again; if that does not help: ${anew}`
      : `${pop}: ${what}, volume ${volume} is gone (${error.message}). npx pulumi up --refresh takes note of that and makes another.`,
    { cause: error },
  );
}

export const machineHandler = {
  schema: MachineInputs,
  lifecycle,
  // Name and volume are taken until the old one is gone.
  deleteBeforeReplace: true,
  isPartial: ({ complete }) => !complete,
  async create(inputs, context) {
    if (inputs.adopt === undefined) await assertKeyUsable(inputs.pop, inputs.joins, context);
    const { machine, created } =
      inputs.adopt === undefined
        ? await createOrFind(inputs, context)
        : { machine: await findAdopted(inputs.adopt, inputs, context), created: false };
    const { id } = machine;
    context.log(`${inputs.pop}: machine ${id} ${created ? "made" : "exists, adopted"}, waiting for its checks`);
    try {
      if (!created) {
        const adopted = await withRolloutSlot(inputs, context, () =>
          updateVerified(updateTarget(id, inputs, context), toWire(inputs), context),
        );
        return { id, outs: toOutputs(inputs, adopted, true) };
      }
      const deadline = context.clock.now() + inputs.timeoutSeconds * 1000;
      const born = { app: inputs.app, id, version: machine.instance_id ?? "" };
      return {
        id,
        outs: toOutputs(inputs, await waitUntilHealthy(born, { deadline, knownEvents: new Set() }, context), true),
      };
    } catch (error) {
      if (error instanceof HostUnreachable)
        return { id, outs: skippedOutputs(outputsFromMachine(inputs, machine), error, context) };
      if (error instanceof UpdateFailed)
        throw new PartialResourceError(id, outputsFromMachine(inputs, error.machine), error.message, { cause: error });
      if (error instanceof UnhealthyError)
        throw new PartialResourceError(
          id,
          outputsFromMachine(inputs, machine),
          `${inputs.pop}: machine ${id} was made but does not serve, ${error.message}. It is kept; look at its logs, then run again: npx fly-pops logs ${inputs.pop}`,
          { cause: error },
        );
      // Whatever else went wrong: the machine exists, so state must know it.
      throw new PartialResourceError(id, outputsFromMachine(inputs, machine), withAdvice(inputs.pop, error), {
        cause: error,
      });
    }
  },
  async read(id, outs, { fly, clock, log }) {
    try {
      const machine = await retryNotFound(clock, () => readSettled(id, outs, { fly, clock }));
      if (machine.state === "destroyed" || machine.state === "destroying") return undefined;
      const wanted = toInputs(outs);
      const stack = ownerOf(machine);
      if (stack !== undefined && stack !== outs.owner) log(`${outs.pop}: machine ${id} belongs to stack ${stack} now`);
      const { config } = machine;
      // A host that does not answer tells nothing: what state knows of the machine stays.
      if (!config || machine.host_status === "unreachable") {
        log(`${outs.pop}: the host of machine ${id} does not answer; state keeps what it knew of it`);
        return { outs, inputs: wanted };
      }
      const inputs = {
        ...fromWire(config, machine.image_ref, wanted),
        region: machine.region ?? wanted.region,
        routed: machine.cordoned === undefined || machine.cordoned === null ? wanted.routed : !machine.cordoned,
        state: (await isUnhealthy(machine, outs, { fly, clock })) ? "unhealthy" : (machine.state ?? "unknown"),
      };
      const found = { ...toOutputs(inputs, machine, outs.complete), state: inputs.state };
      // Another stack's is a difference, which `up` refuses to mend: the outputs go on to say whose it was.
      return { outs: found, inputs: stack === undefined ? inputs : { ...inputs, owner: stack } };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  },
  async update(id, olds, news, context) {
    if (olds.complete && !requiresUpdate(lifecycle, olds, news)) return { ...olds, ...news };
    if (!olds.complete) await assertKeyUsable(news.pop, news.joins, context);
    // What state is to know of a machine whose host went away.
    let known = olds;
    const attempt = async () => {
      try {
        return toOutputs(
          news,
          await updateVerified(updateTarget(id, news, context, olds), toWire(news), context),
          true,
        );
      } catch (error) {
        // State must say what runs, and under which version.
        if (error instanceof UpdateFailed)
          known = toOutputs(error.applied ? news : toInputs(olds), error.machine, false);
        const asked = error instanceof UpdateFailed;
        if (await isHostAway(id, news, error, context))
          throw new HostUnreachable(news.pop, id, { asked, cause: error });
        throw asked ? new PartialResourceError(id, known, error.message, { cause: error }) : error;
      }
    };
    try {
      return await withRolloutSlot(news, context, attempt);
    } catch (error) {
      if (error instanceof HostUnreachable) return skippedOutputs(known, error, context);
      throw error;
    }
  },
  async delete(id, outs, context) {
    await destroyMachine(id, outs, context);
  },
} satisfies Handler<MachineInputs, MachineOutputs>;

/**
 * A PoP whose host is away costs nobody else anything: for the engine the step is done, or it would begin no further one. State has what was there
 * before and that it is not complete, so the next `up` comes back to it; the program says so, and ends `up` as failed (components/edge.ts).
 */
function skippedOutputs(known: MachineOutputs, { message }: HostUnreachable, { log }: Context): MachineOutputs {
  log(message);
  return { ...known, complete: false };
}

/** Whether an update failed for its host alone: before it began, or because the host went away in the middle. */
async function isHostAway(id: string, { app }: MachineInputs, error: unknown, { fly }: Context): Promise<boolean> {
  if (error instanceof HostUnreachable) return true;
  const refused = [error, error instanceof Error ? error.cause : undefined].find(isHostFailure);
  // While the host lives, what was begun there and not ended is a failure to be seen.
  if (
    refused &&
    !(error instanceof UpdateFailed) &&
    /deploys to this host are temporarily disabled/.test(refused.detail)
  )
    return true;
  return fly.getMachine(app, id).then(
    ({ host_status }) => host_status === "unreachable",
    () => false,
  );
}

/** The machine as it is read, once it is in a state that lasts; or as it is after all the time in which a restart is over. */
async function readSettled(
  id: string,
  outs: MachineOutputs,
  world: Pick<Context, "fly" | "clock">,
): Promise<wire.Machine> {
  const first = await readNotOlder(id, outs, world);
  if (!isTransitional(first) || first.host_status === "unreachable") return first;
  const { fly, clock } = world;
  let last = first;
  await pollUntil(clock, clock.now() + restartMs, async () => {
    last = await fly.getMachine(outs.app, id);
    return isTransitional(last) ? undefined : true;
  });
  return last;
}

/** Whether it runs and a check of it fails, and goes on to. Without a check row nothing is known. */
async function isUnhealthy(
  machine: wire.Machine,
  { app }: MachineOutputs,
  { fly, clock }: Pick<Context, "fly" | "clock">,
): Promise<boolean> {
  const fails = (it: wire.Machine) => it.state === "started" && checksOf(it).some(({ status }) => status !== "passing");
  const until = clock.now() + unhealthyMs;
  for (let it = machine; fails(it); it = await fly.getMachine(app, machine.id)) {
    if (clock.now() >= until) return true;
    await sleep(clock, unhealthyPollMs);
  }
  return false;
}

/** The machine as it is read; a version before the one in state, which ULIDs tell, only once it was shown for longer than a read can be late. */
async function readNotOlder(
  id: string,
  { app, instanceId }: MachineOutputs,
  { fly, clock }: Pick<Context, "fly" | "clock">,
): Promise<wire.Machine> {
  let last: wire.Machine | undefined;
  const found = await pollUntil(clock, clock.now() + staleReadMs, async () => {
    last = await fly.getMachine(app, id);
    return (last.instance_id ?? instanceId) >= instanceId ? last : undefined;
  });
  return found ?? (last as wire.Machine);
}

/** Whatever takes a machine out of service waits for its turn among those of the region and of the app. */
const withRolloutSlot = <T>(
  { app, pop, region, maxUnavailable, maxUnavailableInRegion }: MachineInputs,
  { rollout, log }: Context,
  work: () => Promise<T>,
): Promise<T> =>
  rollout.run(
    { app, pop, region, maxUnavailable: maxUnavailable, maxUnavailableInRegion: maxUnavailableInRegion, log },
    work,
  );

export class Machine extends FlyResource<MachineInputs> {
  /** Version that runs, a ULID. */
  declare readonly instanceId: pulumi.Output<string>;
  /** Address on the private network; changes when Fly moves the machine to another host. */
  declare readonly privateIp: pulumi.Output<string>;
  declare readonly state: pulumi.Output<string>;
  /** False when it was skipped, because its host does not answer. */
  declare readonly complete: pulumi.Output<boolean>;
  constructor(name: string, args: Args<MachineInputs>, opts?: pulumi.CustomResourceOptions) {
    super(
      "Machine",
      name,
      args,
      { schemaVersion: undefined, instanceId: undefined, privateIp: undefined, complete: undefined },
      opts,
    );
  }
}
