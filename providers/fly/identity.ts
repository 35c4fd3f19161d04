/**
 * The identity of a PoP: an SSH key pair that is created on its volume and whose private key never leaves it. Secrets are encrypted to the public key,
 * and SSH clients recognise the PoP by it. A short-lived helper machine creates it before the PoP's own machine exists.
 */
import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { FlyError, isConflict, isNotFound, isVolumeInUse, mayHaveApplied } from "../../fly/errors.ts";
import { isLive } from "../../fly/existence.ts";
import { pollUntil, visibleBy } from "../../fly/lag.ts";
import { UnhealthyError, waitUntilHealthy } from "../../fly/machine-health.ts";
import { metadataKeys } from "../../fly/metadata.ts";
import type * as wire from "../../fly/wire.ts";
import { sleep } from "../../lib/clock.ts";
import { parseJson } from "../../lib/http-transport.ts";
import type { ChangeAction, Context, Handler } from "../handler.ts";
import { type Args, FlyResource } from "../resource.ts";
import { strandedVolumeError } from "./machine.ts";
import { startWithRetry } from "./machine-start.ts";
import { createWhenReleased, releaseTimeoutMs, waitUntilDetached } from "./release-wait.ts";

const lifecycle = {
  pop: "ignored",
  app: "replace",
  name: "ignored",
  machine: "ignored",
  region: "ignored",
  volume: "replace", // the key is on it
  mountPath: "replace",
  hosts: "update", // only the names in known_hosts
  image: "ignored", // a new image must not change an existing key
  owner: "ignored",
  timeoutSeconds: "ignored",
} satisfies Record<keyof IdentityInputs, ChangeAction>;

export const IdentityInputs = z.strictObject({
  /** PoP it belongs to, e.g. cdg-1. */
  pop: z.string(),
  app: z.string().min(1),
  /** Name of the helper machine, e.g. cdg-1-identity, by which the next run finds it after an interruption. */
  name: z.string().min(1),
  /** Name of the PoP's own machine. If it exists, the key is read there: a volume can be attached to one machine only. */
  machine: z.string().min(1),
  region: z.string().min(1),
  /** Id of the volume. */
  volume: z.string().min(1),
  /** Where the volume is mounted, e.g. /var */
  mountPath: z.string().startsWith("/"),
  /** Host names of the PoP for SSH clients, the main one first. */
  hosts: z.array(z.string().regex(/^[a-z0-9.-]{1,253}$/)).min(1),
  /** Image of the helper machine. */
  image: z.string().min(1),
  /** The stack, as organization/project/stack. Stored in the helper machine's metadata. */
  owner: z.string().min(1),
  /** Seconds within which the key must have been read. */
  timeoutSeconds: z.int().min(1),
});
export type IdentityInputs = z.infer<typeof IdentityInputs>;
export type IdentityOutputs = IdentityInputs & {
  schemaVersion: 1;
  /** Recipient for sops (--age): the public key, `ssh-ed25519 AAAA...` */
  recipient: string;
  /** A line of a known_hosts file. */
  knownHosts: string;
  /** False if the PoP's own machine already existed and the key was read there. */
  isNew: boolean;
};

type KeyFacts = Pick<IdentityOutputs, "recipient" | "isNew">;

const recipientPattern = /^ssh-ed25519 AAAA[A-Za-z0-9+/]{20,100}={0,2}$/;
/** What `pop identity show` prints (image/pop/identity). */
const ShownKey = z.object({ recipient: z.string().regex(recipientPattern), fingerprint: z.string().min(1) });
type ShownKey = z.infer<typeof ShownKey>;

const showCommand = ["/usr/bin/pop", "identity", "show"];
const execSeconds = 20;
const pollMs = 1_000;
/** Seconds after which the helper machine exits by itself, in case no run comes back to it. */
const lifeSeconds = 900;

/** Config of the helper machine: smallest size, no services, no restart, so that it serves no traffic and does not come back. */
export const helperMachineConfig = ({ image, volume, mountPath, owner, pop }: IdentityInputs): wire.MachineConfig => ({
  image,
  guest: { cpu_kind: "shared", cpus: 1, memory_mb: 256 },
  init: { exec: ["/bin/sh", "-c", `/usr/bin/pop identity && exec sleep ${lifeSeconds}`] },
  env: { POP_NAME: pop },
  restart: { policy: "no" },
  auto_destroy: false,
  mounts: [{ volume, path: mountPath }],
  metadata: { [metadataKeys.stack]: owner, [metadataKeys.pop]: pop },
});

const toOutputs = (inputs: IdentityInputs, { recipient, isNew }: KeyFacts): IdentityOutputs => ({
  ...inputs,
  schemaVersion: 1,
  recipient,
  isNew,
  knownHosts: `${inputs.hosts.join(",")} ${recipient}`,
});

const isOurs = ({ owner }: IdentityInputs, machine: wire.Machine): boolean =>
  machine.config?.metadata?.[metadataKeys.stack] === owner;

const mounts = (machine: wire.Machine, volume: string): boolean =>
  (machine.config?.mounts ?? []).some((it) => it.volume === volume);

/** Live machines in which the key can be read: the one that mounts the volume, and a helper machine that an earlier run left. */
async function findMachines(
  inputs: IdentityInputs,
  { fly }: Context,
): Promise<{ mountedBy: wire.Machine | undefined; staleHelper: wire.Machine | undefined }> {
  const live = await fly.liveMachines(inputs.app);
  const staleHelper = live.find((it) => it.name === inputs.name);
  if (staleHelper && !isOurs(inputs, staleHelper))
    throw new Error(
      `${inputs.pop}: ${inputs.app} has a machine named ${inputs.name} already (${staleHelper.id}), and it is not this stack's. It was not changed. Destroy or rename it, then run again.`,
    );
  return { mountedBy: live.find((it) => it !== staleHelper && mounts(it, inputs.volume)), staleHelper };
}

/** Runs `pop identity show` in a machine until it returns the key or the deadline passes. */
async function readKey(
  machine: wire.Machine,
  inputs: IdentityInputs,
  { fly, clock }: Context,
  deadline: number,
): Promise<ShownKey> {
  for (;;) {
    let why: string;
    try {
      const { exit_code = 0, stdout, stderr } = await fly.execMachine(inputs.app, machine.id, showCommand, execSeconds);
      const shown = ShownKey.safeParse(parseJson(stdout ?? ""));
      if (exit_code === 0 && shown.success) return shown.data;
      why = exit_code === 0 ? "no key in its output" : `pop exited with ${exit_code}, ${oneLine(stderr ?? "")}`;
    } catch (error) {
      // It only reads, so it may be repeated after any error but a rejected token or a machine that is gone.
      if (!(error instanceof FlyError) || error.status === 401 || error.status === 403 || isNotFound(error))
        throw error;
      why = error.message;
    }
    if (clock.now() >= deadline)
      throw new Error(
        `${inputs.pop}: could not read the SSH host key (the identity) in machine ${machine.id}: ${why}. No secrets were encrypted. The machine must run a fly-pops image: if it was adopted, deploy once without secrets, then run again.`,
      );
    await sleep(clock, pollMs);
  }
}

/** Creates the helper machine, or finds the one of a create without a response. */
async function createHelper(inputs: IdentityInputs, context: Context): Promise<wire.Machine> {
  const { fly } = context;
  try {
    const body = { name: inputs.name, region: inputs.region, config: helperMachineConfig(inputs) };
    return await createWhenReleased(inputs, context, () => fly.createMachine(inputs.app, body));
  } catch (error) {
    const stranded = await strandedVolumeError("no identity created", inputs, error, context);
    if (stranded) throw stranded;
    if (!isConflict(error) && !isVolumeInUse(error) && !mayHaveApplied(error)) throw error;
    const { clock } = context;
    const found = await pollUntil(clock, visibleBy(error, clock), async () => {
      const { staleHelper, mountedBy } = await findMachines(inputs, context);
      return staleHelper ?? mountedBy;
    });
    if (!found) throw error;
    return found;
  }
}

/** Destroys the helper machine and waits until the volume is detached, so that the PoP's own machine can mount it. */
async function destroyHelper(machine: wire.Machine, inputs: IdentityInputs, context: Context): Promise<void> {
  const { app, pop, volume } = inputs;
  await context.fly.deleteMachine(app, machine.id, { force: true }).catch((error: unknown) => {
    if (!isNotFound(error)) throw error;
  });
  if (await waitUntilDetached({ app, volume, machine: machine.id }, context)) return;
  throw new Error(
    `${pop}: volume ${volume} is still attached to machine ${machine.id}, which was destroyed ${releaseTimeoutMs / 1000} s ago. The identity is kept. Run again.`,
  );
}

/** Creates and reads the key with a helper machine, which is destroyed afterwards in any case. */
async function createAndRead(
  inputs: IdentityInputs,
  staleHelper: wire.Machine | undefined,
  context: Context,
): Promise<ShownKey> {
  const deadline = context.clock.now() + inputs.timeoutSeconds * 1000;
  // A helper machine of an earlier run is reused if it runs the same image on the same volume.
  const reuse =
    staleHelper !== undefined &&
    (staleHelper.state === "started" || staleHelper.state === "starting") &&
    staleHelper.config?.image === inputs.image &&
    mounts(staleHelper, inputs.volume);
  if (staleHelper && !reuse) await destroyHelper(staleHelper, inputs, context);
  const machine = reuse ? staleHelper : await createHelper(inputs, context);
  if (machine.name !== inputs.name) return readKey(machine, inputs, context, deadline);
  try {
    const ref = { app: inputs.app, id: machine.id, version: machine.instance_id ?? "" };
    if (machine.state !== "started") await waitUntilHealthy(ref, { deadline, knownEvents: new Set() }, context);
    const shown = await readKey(machine, inputs, context, deadline);
    await destroyHelper(machine, inputs, context);
    return shown;
  } catch (error) {
    // Report the first error, not that of the cleanup: the next run finds the machine by its name.
    await destroyHelper(machine, inputs, context).catch(() => undefined);
    if (error instanceof UnhealthyError)
      throw new Error(
        `${inputs.pop}: no identity created, machine ${machine.id} did not start: ${error.message}. It was destroyed, the volume is kept. Check the image, then run again.`,
        { cause: error },
      );
    throw error;
  }
}

export const identityHandler = {
  schema: IdentityInputs,
  lifecycle,
  deleteBeforeReplace: false,
  async create(inputs, context) {
    const { mountedBy, staleHelper } = await findMachines(inputs, context);
    if (
      mountedBy &&
      !isOurs(inputs, mountedBy) &&
      mountedBy.name !== inputs.machine &&
      mountedBy.config?.metadata?.[metadataKeys.stack]
    )
      throw new Error(
        `${inputs.pop}: volume ${inputs.volume} is attached to machine ${mountedBy.id} of stack ${mountedBy.config.metadata[metadataKeys.stack]}. No identity was created. Choose another volume.`,
      );
    let shown: ShownKey;
    if (mountedBy) {
      const deadline = context.clock.now() + inputs.timeoutSeconds * 1000;
      await startWithRetry(inputs.app, mountedBy, deadline, context);
      shown = await readKey(mountedBy, inputs, context, deadline);
      if (staleHelper) await destroyHelper(staleHelper, inputs, context);
    } else shown = await createAndRead(inputs, staleHelper, context);
    context.log(`${inputs.pop}: identity ${shown.fingerprint}`);
    return { id: shown.fingerprint, outs: toOutputs(inputs, { ...shown, isNew: mountedBy === undefined }) };
  },
  async read(_id, outs, { fly, givenUp }) {
    const { schemaVersion: _, recipient, isNew, knownHosts: __, ...inputs } = outs;
    if (givenUp?.has(outs.volume)) return undefined;
    const there = await fly.getVolume(outs.app, outs.volume).then(isLive, (error: unknown) => {
      if (isNotFound(error)) return false;
      throw error;
    });
    if (there) return { outs, inputs };
    // After a host migration the volume has another id, which the mount of the PoP's machine shows. The key moved along.
    const machine = (await fly.liveMachines(outs.app)).find((it) => it.name === outs.machine && isOurs(outs, it));
    const volume = machine?.config?.mounts?.[0]?.volume;
    if (volume === undefined || volume === outs.volume) return undefined;
    const moved = { ...inputs, volume };
    return { outs: toOutputs(moved, { recipient, isNew }), inputs: moved };
  },
  // Other host names do not change the key.
  update: async (_id, olds, news) => toOutputs(news, olds),
  async delete(_id, outs, context) {
    // The key is deleted with its volume.
    try {
      const { staleHelper } = await findMachines(outs, context);
      if (staleHelper) await destroyHelper(staleHelper, outs, context);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  },
} satisfies Handler<IdentityInputs, IdentityOutputs>;

const oneLine = (text: string): string => text.replaceAll(/\s+/g, " ").trim().slice(0, 200) || "no output";

export class Identity extends FlyResource<IdentityInputs> {
  /** Recipient of the PoP's secrets: `ssh-ed25519 AAAA...` */
  declare readonly recipient: pulumi.Output<string>;
  /** A line of a known_hosts file. */
  declare readonly knownHosts: pulumi.Output<string>;
  declare readonly isNew: pulumi.Output<boolean>;
  constructor(name: string, args: Args<IdentityInputs>, opts?: pulumi.CustomResourceOptions) {
    super(
      "Identity",
      name,
      args,
      { schemaVersion: undefined, recipient: undefined, knownHosts: undefined, isNew: undefined },
      opts,
    );
  }
}
