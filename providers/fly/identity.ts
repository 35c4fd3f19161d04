/**
 * The identity of a PoP: the key pair born on its volume, whose private half never leaves it. Its public half is what secrets are sealed to and what
 * SSH clients know the PoP by. A machine that lives for a minute makes it, before the PoP's own comes to be.
 */
import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { sleep } from "../clock.ts";
import type { ChangeAction, Context, Handler } from "../handler.ts";
import { parseJson } from "../http-transport.ts";
import { type Args, FlyResource } from "../resource.ts";
import { FlyError, isConflict, isNotFound, isVolumeInUse, mayHaveApplied } from "./errors.ts";
import { isLive } from "./existence.ts";
import { pollUntil, visibleBy } from "./lag.ts";
import { strandedVolumeError } from "./machine.ts";
import { UnhealthyError, waitUntilHealthy } from "./machine-health.ts";
import { startWithRetry } from "./machine-start.ts";
import { ownerKeys } from "./owner.ts";
import { createWhenReleased, releaseTimeoutMs, waitUntilDetached } from "./release-wait.ts";
import type * as wire from "./wire.ts";

const lifecycle = {
  pop: "ignored",
  app: "replace",
  name: "ignored",
  machine: "ignored",
  region: "ignored",
  volume: "replace", // the key lies on it
  mountPath: "replace",
  hosts: "update", // only what known_hosts calls the key
  image: "ignored", // whichever made it: a new image must not touch it
  owner: "ignored",
  timeoutSeconds: "ignored",
} satisfies Record<keyof IdentityInputs, ChangeAction>;

export const IdentityInputs = z.strictObject({
  /** PoP it belongs to, e.g. cdg-1. */
  pop: z.string(),
  app: z.string().min(1),
  /** Name of the machine that makes it, e.g. cdg-1-identity: how a cut-off run finds it again. */
  name: z.string().min(1),
  /** Name of the PoP's own machine, which is asked instead where it is there already: a volume attaches to one machine. */
  machine: z.string().min(1),
  region: z.string().min(1),
  /** Id of the volume. */
  volume: z.string().min(1),
  /** Where the volume is mounted, e.g. /var */
  mountPath: z.string().startsWith("/"),
  /** Names SSH clients call the PoP by, the first one first. */
  hosts: z.array(z.string().regex(/^[a-z0-9.-]{1,253}$/)).min(1),
  /** Image that has the helper. */
  image: z.string().min(1),
  /** The stack, as organization/project/stack; kept in the machine's metadata. */
  owner: z.string().min(1),
  /** Seconds until the key must have been read. */
  timeoutSeconds: z.int().min(1),
});
export type IdentityInputs = z.infer<typeof IdentityInputs>;
export type IdentityOutputs = IdentityInputs & {
  schemaVersion: 1;
  /** What sops takes as --age: the key's own `ssh-ed25519 AAAA...` line. */
  recipient: string;
  /** A line of a known_hosts file. */
  knownHosts: string;
  /** False when the PoP's own machine was there already, and was asked. */
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
/** The machine ends by itself some time after it was last of use, should nobody come back to it. */
const lifeSeconds = 900;

/** The machine that makes the key: smallest size, no services, no restart, so that nothing of it can serve or come back. */
export const helperMachineConfig = ({ image, volume, mountPath, owner, pop }: IdentityInputs): wire.MachineConfig => ({
  image,
  guest: { cpu_kind: "shared", cpus: 1, memory_mb: 256 },
  init: { exec: ["/bin/sh", "-c", `/usr/bin/pop identity && exec sleep ${lifeSeconds}`] },
  env: { POP_NAME: pop },
  restart: { policy: "no" },
  auto_destroy: false,
  mounts: [{ volume, path: mountPath }],
  metadata: { [ownerKeys.stack]: owner, [ownerKeys.pop]: pop },
});

const toOutputs = (inputs: IdentityInputs, { recipient, isNew }: KeyFacts): IdentityOutputs => ({
  ...inputs,
  schemaVersion: 1,
  recipient,
  isNew,
  knownHosts: `${inputs.hosts.join(",")} ${recipient}`,
});

const isOurs = ({ owner }: IdentityInputs, machine: wire.Machine): boolean =>
  machine.config?.metadata?.[ownerKeys.stack] === owner;

const mounts = (machine: wire.Machine, volume: string): boolean =>
  (machine.config?.mounts ?? []).some((it) => it.volume === volume);

/** Live machines the key may be read in: the PoP's own, or one that an earlier run made for this. */
async function findMachines(
  inputs: IdentityInputs,
  { fly }: Context,
): Promise<{ holder: wire.Machine | undefined; leftover: wire.Machine | undefined }> {
  const live = await fly.liveMachines(inputs.app);
  const leftover = live.find((it) => it.name === inputs.name);
  if (leftover && !isOurs(inputs, leftover))
    throw new Error(
      `${inputs.pop}: ${inputs.app} has a machine named ${inputs.name} already (${leftover.id}), and it is not this stack's. It was not changed. Destroy or rename it, then run again.`,
    );
  return { holder: live.find((it) => it !== leftover && mounts(it, inputs.volume)), leftover };
}

/** Asks the helper inside a machine until it answers with the key, or the deadline passes. */
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
      why = exit_code === 0 ? "it showed no key" : `pop ended with ${exit_code}, ${oneLine(stderr ?? "")}`;
    } catch (error) {
      // Only a look, so it may be repeated whatever became of it; not where Fly says who we are not, or that the machine is gone.
      if (!(error instanceof FlyError) || error.status === 401 || error.status === 403 || isNotFound(error))
        throw error;
      why = error.message;
    }
    if (clock.now() >= deadline)
      throw new Error(
        `${inputs.pop}: no identity read in machine ${machine.id}, ${why}. Nothing was sealed. The image must be one of fly-pops: for a machine that was adopted, deploy once without secrets; then run again.`,
      );
    await sleep(clock, pollMs);
  }
}

/** Makes the machine, or finds the one whose answer was lost. */
async function createHelper(inputs: IdentityInputs, context: Context): Promise<wire.Machine> {
  const { fly } = context;
  try {
    const body = { name: inputs.name, region: inputs.region, config: helperMachineConfig(inputs) };
    return await createWhenReleased(inputs, context, () => fly.createMachine(inputs.app, body));
  } catch (error) {
    const stranded = await strandedVolumeError("no identity made", inputs, error, context);
    if (stranded) throw stranded;
    if (!isConflict(error) && !isVolumeInUse(error) && !mayHaveApplied(error)) throw error;
    const { clock } = context;
    const found = await pollUntil(clock, visibleBy(error, clock), async () => {
      const { leftover, holder } = await findMachines(inputs, context);
      return leftover ?? holder;
    });
    if (!found) throw error;
    return found;
  }
}

/** Destroys the machine and waits until the volume is free for the PoP's own. */
async function destroyHelper(machine: wire.Machine, inputs: IdentityInputs, context: Context): Promise<void> {
  const { app, pop, volume } = inputs;
  await context.fly.deleteMachine(app, machine.id, { force: true }).catch((error: unknown) => {
    if (!isNotFound(error)) throw error;
  });
  if (await waitUntilDetached({ app, volume, machine: machine.id }, context)) return;
  throw new Error(
    `${pop}: volume ${volume} is still bound to machine ${machine.id}, which was destroyed ${releaseTimeoutMs / 1000} s ago. The identity is kept. Run again.`,
  );
}

/** By a machine of its own, which is gone afterwards, however this ends. */
async function createAndRead(
  inputs: IdentityInputs,
  leftover: wire.Machine | undefined,
  context: Context,
): Promise<ShownKey> {
  const deadline = context.clock.now() + inputs.timeoutSeconds * 1000;
  // One that an earlier run left is as good as a new one while it runs the same thing.
  const reuse =
    leftover !== undefined &&
    (leftover.state === "started" || leftover.state === "starting") &&
    leftover.config?.image === inputs.image &&
    mounts(leftover, inputs.volume);
  if (leftover && !reuse) await destroyHelper(leftover, inputs, context);
  const machine = reuse ? leftover : await createHelper(inputs, context);
  if (machine.name !== inputs.name) return readKey(machine, inputs, context, deadline);
  try {
    const ref = { app: inputs.app, id: machine.id, version: machine.instance_id ?? "" };
    if (machine.state !== "started") await waitUntilHealthy(ref, { deadline, knownEvents: new Set() }, context);
    const shown = await readKey(machine, inputs, context, deadline);
    await destroyHelper(machine, inputs, context);
    return shown;
  } catch (error) {
    // What went wrong is worth more than that it could not be cleared away; the next run finds it by its name.
    await destroyHelper(machine, inputs, context).catch(() => undefined);
    if (error instanceof UnhealthyError)
      throw new Error(
        `${inputs.pop}: no identity made, machine ${machine.id} did not come up: ${error.message}. It was destroyed, the volume is kept. Look at the image, then run again.`,
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
    const { holder, leftover } = await findMachines(inputs, context);
    if (
      holder &&
      !isOurs(inputs, holder) &&
      holder.name !== inputs.machine &&
      holder.config?.metadata?.[ownerKeys.stack]
    )
      throw new Error(
        `${inputs.pop}: volume ${inputs.volume} is bound to machine ${holder.id} of stack ${holder.config.metadata[ownerKeys.stack]}. No identity was made. Take another volume.`,
      );
    let shown: ShownKey;
    if (holder) {
      const deadline = context.clock.now() + inputs.timeoutSeconds * 1000;
      await startWithRetry(inputs.app, holder, deadline, context);
      shown = await readKey(holder, inputs, context, deadline);
      if (leftover) await destroyHelper(leftover, inputs, context);
    } else shown = await createAndRead(inputs, leftover, context);
    context.log(`${inputs.pop}: identity ${shown.fingerprint}`);
    return { id: shown.fingerprint, outs: toOutputs(inputs, { ...shown, isNew: holder === undefined }) };
  },
  async read(_id, outs, { fly, givenUp }) {
    const { schemaVersion: _, recipient, isNew, knownHosts: __, ...inputs } = outs;
    if (givenUp?.has(outs.volume)) return undefined;
    const there = await fly.getVolume(outs.app, outs.volume).then(isLive, (error: unknown) => {
      if (isNotFound(error)) return false;
      throw error;
    });
    if (there) return { outs, inputs };
    // Host migration gives a volume another id; the PoP's machine, whose mount stays, says which. The key went along.
    const machine = (await fly.liveMachines(outs.app)).find((it) => it.name === outs.machine && isOurs(outs, it));
    const volume = machine?.config?.mounts?.[0]?.volume;
    if (volume === undefined || volume === outs.volume) return undefined;
    const moved = { ...inputs, volume };
    return { outs: toOutputs(moved, { recipient, isNew }), inputs: moved };
  },
  // The key does not change with its names.
  update: async (_id, olds, news) => toOutputs(news, olds),
  async delete(_id, outs, context) {
    // The key lies on the volume and goes with it.
    try {
      const { leftover } = await findMachines(outs, context);
      if (leftover) await destroyHelper(leftover, outs, context);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  },
} satisfies Handler<IdentityInputs, IdentityOutputs>;

const oneLine = (text: string): string => text.replaceAll(/\s+/g, " ").trim().slice(0, 200) || "without a word";

export class Identity extends FlyResource<IdentityInputs> {
  /** What secrets are sealed to: `ssh-ed25519 AAAA...` */
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
