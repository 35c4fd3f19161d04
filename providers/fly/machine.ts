/** The machine of one PoP. It is bound to its volume and keeps its id: its config is updated in place. */
import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
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
} from "../../fly/errors.ts";
import { isLive, retryNotFound } from "../../fly/existence.ts";
import { pollUntil, staleReadMs, visibleBy } from "../../fly/lag.ts";
import { checksOf, UnhealthyError, waitUntilHealthy } from "../../fly/machine-health.ts";
import { metadataKeys, withCurrentKeys } from "../../fly/metadata.ts";
import { isTransitional } from "../../fly/version-watch.ts";
import * as wire from "../../fly/wire.ts";
import { sleep } from "../../lib/clock.ts";
import {
  type ChangeAction,
  type Context,
  type Handler,
  PartialResourceError,
  type Properties,
  requiresUpdate,
} from "../handler.ts";
import { type Args, FlyResource } from "../resource.ts";
import { assertKeyUsable, TailnetJoin } from "../tailnet-join.ts";
import { destroyMachine } from "./machine-delete.ts";
import { UpdateFailed, type UpdateTarget, updateVerified } from "./machine-update.ts";
import { alignToDesired, sameConfig } from "./normalise.ts";
import { isOwnStackOf, ownerOf } from "./owner.ts";
import { createWhenReleased } from "./release-wait.ts";

/** How long a refresh waits for a machine to reach a state that lasts. */
const restartMs = 30_000;
/** A machine counts as unhealthy if a check fails for this long. */
const unhealthyMs = 60_000;
const unhealthyPollMs = 10_000;

const lifecycle = {
  pop: "ignored",
  app: "replace",
  name: "replace", // Fly accepts another name in an update but ignores it
  region: "replace",
  volume: "replace", // a mount cannot be changed
  mountPath: "update",
  config: "update",
  owner: "update",
  routed: "update",
  state: "update",
  adopt: "ignored", // used at create only
  adoptFrom: "ignored", // the same
  joins: "ignored", // checked until the PoP has joined
  timeoutSeconds: "ignored",
  drainSeconds: "ignored",
  maxUnavailable: "ignored",
  maxUnavailableInRegion: "ignored",
} satisfies Record<keyof MachineInputs, ChangeAction>;

export const MachineInputs = z.strictObject({
  /** PoP name for messages, e.g. cdg-1. */
  pop: z.string(),
  app: z.string().min(1),
  /** Unique among the app's machines, so that a repeated create cannot create a second one. */
  name: z.string().min(1),
  region: z.string().min(1),
  /** Id of the volume. The machine runs on its host. */
  volume: z.string().min(1),
  /** Where the volume is mounted, e.g. /var */
  mountPath: z.string().startsWith("/"),
  /** The machine's config as the API takes it, without mounts and owner metadata, which are added. */
  config: wire.MachineConfig,
  /** The stack this machine belongs to, as organization/project/stack. Stored in its metadata. */
  owner: z.string().min(1),
  /** Id of a machine of the app to adopt; its config is updated in place. Absent: the one of this name, or a new one. */
  adopt: z.string().optional(),
  /** A stack, as organization/project/stack, whose objects may be adopted. Absent: none. */
  adoptFrom: z.string().min(1).optional(),
  /** How it joins the tailnet with an auth key created for it. Absent: it joins none, or with a key from the operator's secrets. */
  joins: TailnetJoin.optional(),
  /** Whether Fly Proxy sends it traffic; false leaves it cordoned. */
  routed: z.boolean(),
  /** Desired state: `started`. A refresh stores the state it found: Fly's name for it, or `unhealthy`. */
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
  /** False after a create or update that was not completed: the next `up` repeats it. */
  complete: boolean;
};

export const toWire = ({ config, volume, mountPath, owner, pop }: MachineInputs): wire.MachineConfig => ({
  ...config,
  mounts: [{ volume, path: mountPath }],
  metadata: { ...config.metadata, [metadataKeys.stack]: owner, [metadataKeys.pop]: pop },
});

/** Whether the machine itself has to change. Its metadata under former keys does not count: the next update writes the current ones. */
export function requiresMachineUpdate(olds: Properties, news: Properties): boolean {
  const { config } = olds as Partial<MachineInputs>;
  const metadata = config?.metadata && withCurrentKeys(config.metadata);
  return requiresUpdate(lifecycle, metadata ? { ...olds, config: { ...config, metadata } } : olds, news);
}

/** The inverse of toWire: inputs from a config as found. */
function fromWire(found: wire.MachineConfig, image: wire.Machine["image_ref"], desired: MachineInputs): MachineInputs {
  const { mounts, metadata, ...config } = alignToDesired(toWire(desired), found, image);
  const { [metadataKeys.stack]: owner, [metadataKeys.pop]: pop = "none", ...rest } = metadata ?? {};
  const own = owner === undefined || pop === desired.pop ? rest : { ...rest, [metadataKeys.pop]: pop };
  return {
    ...desired,
    config: desired.config.metadata || Object.keys(own).length > 0 ? { ...config, metadata: own } : config,
    // After a host migration the volume has another id, while machine and mount stay: take it over instead of replacing anything.
    volume: mounts?.[0]?.volume ?? desired.volume,
    mountPath: mounts?.[0]?.path ?? desired.mountPath,
    // The machine of another stack is not taken back: state keeps the owner, and every operation on the machine fails.
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

/** Outputs of a partially created machine: the config it has now, which for an adopted machine is not the desired one yet. */
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

/** `owners`: the stacks it may belong to, including its former one (the stack was renamed, or the machine was moved here). */
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

/** The machine of this name, if it is of this stack. */
async function findOwn(inputs: MachineInputs, context: Context): Promise<wire.Machine | undefined> {
  const { fly } = context;
  const machine = (await fly.liveMachines(inputs.app)).find((it) => it.name === inputs.name);
  if (!machine) return undefined;
  const owner = ownerOf(machine);
  if (owner !== undefined && isOwnStackOf(inputs, context)(owner)) return machine;
  throw new Error(
    `${inputs.pop}: ${inputs.app} has a machine named ${inputs.name} already (${machine.id}), and it belongs to ${owner ? `stack ${owner}` : "no stack of fly-pops"}. It was not changed. Destroy or rename it, or choose another fly-pops:app.`,
  );
}

/** The machine to adopt. It must exist, belong to no other stack, and mount the PoP's volume, since a mount cannot be changed. */
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
            ? `its volume is ${mounted ?? "none"}, not ${inputs.volume}, and a mount cannot be changed`
            : undefined;
  if (machine && refusal === undefined) return machine;
  throw new Error(
    `${inputs.pop}: machine ${id} cannot be adopted, ${refusal}. It was not changed. Correct fly-pops:adopt.`,
  );
}

/** Creates the machine, or finds the one that an earlier, interrupted run created. */
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
    const stranded = await strandedVolumeError("no machine created", inputs, error, context);
    if (stranded) throw stranded;
    // The name is unique, so after "exists", "volume in use" and no response, look for it.
    if (!isConflict(error) && !isVolumeInUse(error) && !mayHaveApplied(error)) throw error;
    const { clock } = context;
    const machine = await pollUntil(clock, visibleBy(error, clock), () => findOwn(inputs, context));
    if (!machine && isVolumeInUse(error))
      throw new Error(
        `${inputs.pop}: no machine created: ${error.message}. That machine is not this PoP's and was not changed. Check it with fly machine status -a ${inputs.app}; if it is not needed, destroy it, then run again.`,
        { cause: error },
      );
    if (!machine) throw error;
    // After a create without a response, the machine found may be that of an earlier run.
    const config = machine.config;
    return {
      machine,
      created: mayHaveApplied(error) && !!config && sameConfig(toWire(inputs), config, machine.image_ref),
    };
  }
}

/** The error for a volume on whose host no machine can be created; undefined for other errors. */
export async function strandedVolumeError(
  what: string,
  { app, pop, region, volume }: Pick<MachineInputs, "app" | "pop" | "region" | "volume">,
  error: unknown,
  { fly }: Pick<Context, "fly">,
): Promise<Error | undefined> {
  const replaceHint = `npx fly-pops replace ${pop} abandons the volume and creates the PoP again, elsewhere in ${region}.`;
  if (isOutOfCapacity(error))
    return new Error(
      `${pop}: ${what}: no capacity beside volume ${volume} in ${region} (${error.message}). The volume is kept. Try again later, or choose a smaller size. If its host stays full: ${replaceHint}`,
      { cause: error },
    );
  if (!isVolumeMissing(error)) return undefined;
  const reads = await fly.getVolume(app, volume).then(isLive, () => false);
  return new Error(
    reads
      ? `${pop}: ${what}: Fly shows volume ${volume} but cannot mount it (${error.message}). The volume is kept. Run again; if that does not help: ${replaceHint}`
      : `${pop}: ${what}: volume ${volume} is gone (${error.message}). npx pulumi up --refresh notes that and creates another.`,
    { cause: error },
  );
}

export const machineHandler = {
  schema: MachineInputs,
  lifecycle,
  // Name and volume are in use until the old machine is gone.
  deleteBeforeReplace: true,
  isPartial: ({ complete }) => !complete,
  async create(inputs, context) {
    if (inputs.adopt === undefined) await assertKeyUsable(inputs.pop, inputs.joins, context);
    const { machine, created } =
      inputs.adopt === undefined
        ? await createOrFind(inputs, context)
        : { machine: await findAdopted(inputs.adopt, inputs, context), created: false };
    const { id } = machine;
    context.log(`${inputs.pop}: machine ${id} ${created ? "created" : "exists, adopted"}, waiting for its checks`);
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
          `${inputs.pop}: machine ${id} was created but does not serve: ${error.message}. It is kept. Check its logs, then run again: npx fly-pops logs ${inputs.pop}`,
          { cause: error },
        );
      // After any other error, too, the machine exists, so state must have it.
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
      // If the host does not respond, nothing is known: keep what state has.
      if (!config || machine.host_status === "unreachable") {
        log(`${outs.pop}: the host of machine ${id} does not answer; state keeps the last known values`);
        return { outs, inputs: wanted };
      }
      const inputs = {
        ...fromWire(config, machine.image_ref, wanted),
        region: machine.region ?? wanted.region,
        routed: machine.cordoned === undefined || machine.cordoned === null ? wanted.routed : !machine.cordoned,
        state: (await isUnhealthy(machine, outs, { fly, clock })) ? "unhealthy" : (machine.state ?? "unknown"),
      };
      const found = { ...toOutputs(inputs, machine, outs.complete), state: inputs.state };
      // An owner that is another stack shows as a difference, which `up` does not repair: the outputs keep the former owner.
      return { outs: found, inputs: stack === undefined ? inputs : { ...inputs, owner: stack } };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  },
  async update(id, olds, news, context) {
    if (olds.complete && !requiresMachineUpdate(olds, news)) return { ...olds, ...news };
    if (!olds.complete) await assertKeyUsable(news.pop, news.joins, context);
    // Outputs to store if the host goes down.
    let known = olds;
    const attempt = async () => {
      try {
        return toOutputs(
          news,
          await updateVerified(updateTarget(id, news, context, olds), toWire(news), context),
          true,
        );
      } catch (error) {
        // State must have what runs now, and its version.
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
 * A PoP whose host is down does not hold up the others: the step succeeds, or the engine would start no further one. State keeps the former outputs
 * with `complete: false`, so that the next `up` repeats the update. The program reports it and ends `up` as failed (components/hosts.ts).
 */
function skippedOutputs(known: MachineOutputs, { message }: HostUnreachable, { log }: Context): MachineOutputs {
  log(message);
  return { ...known, complete: false };
}

/** Whether an update failed only because of its host: before it was posted, or because the host went down during it. */
async function isHostAway(id: string, { app }: MachineInputs, error: unknown, { fly }: Context): Promise<boolean> {
  if (error instanceof HostUnreachable) return true;
  const refused = [error, error instanceof Error ? error.cause : undefined].find(isHostFailure);
  // If the host is up, an update that was posted but not completed is a failure.
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

/** Reads the machine until its state lasts, or for as long as a restart takes. */
async function readSettled(
  id: string,
  outs: MachineOutputs,
  context: Pick<Context, "fly" | "clock">,
): Promise<wire.Machine> {
  const first = await readNotOlder(id, outs, context);
  if (!isTransitional(first) || first.host_status === "unreachable") return first;
  const { fly, clock } = context;
  let last = first;
  await pollUntil(clock, clock.now() + restartMs, async () => {
    last = await fly.getMachine(outs.app, id);
    return isTransitional(last) ? undefined : true;
  });
  return last;
}

/** Whether the machine runs and keeps failing a check. False if it has no check rows. */
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

/** Reads the machine. A version older than the one in state (ULIDs are ordered) is believed only if it is shown for longer than a read can be stale. */
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

/** Runs `work`, which takes the machine out of service, when a rollout slot of its region and app is free. */
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
  /** The current version, a ULID. */
  declare readonly instanceId: pulumi.Output<string>;
  /** Address on the private network. Changes when Fly moves the machine to another host. */
  declare readonly privateIp: pulumi.Output<string>;
  declare readonly state: pulumi.Output<string>;
  /** False if it was skipped because its host does not answer. */
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
