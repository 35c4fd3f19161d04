import * as pulumi from "@pulumi/pulumi";
import type { StackFiles } from "../config.ts";
import { authKeyName } from "../image/render/secrets.ts";
import type { Tailnet } from "../image/spec.ts";
import { Identity } from "../providers/fly/identity.ts";
import { Machine } from "../providers/fly/machine.ts";
import { Volume } from "../providers/fly/volume.ts";
import { SealedSecrets } from "../providers/sops/sealed-secrets.ts";
import { AuthKey } from "../providers/tailnet/auth-key.ts";
import { guardsOf } from "./guards.ts";
import { guestOf, machineConfig, mountPath, type PopMachine, type SealedFiles } from "./machine-config.ts";
import { volumeName } from "./placement.ts";

export interface PopArgs extends PopMachine {
  /** Fly region code, e.g. cdg. */
  region: string;
  /** Slug of the Fly organization. */
  organization: string;
  /** GB of the volume, 1 to 500. Grows in place, never shrinks. */
  volumeGb: number;
  app: pulumi.Input<string>;
  /** Image reference pinned by digest. */
  image: pulumi.Input<string>;
  /** Digest of the build context the image must have been made from. Absent: not compared. */
  context?: string | undefined;
  /** The app's addresses, with spaces between them. Absent: the PoP need not know them. */
  addresses?: pulumi.Input<string> | undefined;
  /** Stack the PoP belongs to, organization/project/stack. */
  owner: string;
  /** Days Fly keeps daily snapshots of the volume. 0: none. */
  snapshotDays: number;
  /** Pulumi refuses to delete what Fly would not give again (guards.ts), until this is false. */
  protect: boolean;
  /** The volume stays on Fly when the PoP is taken out, which then loses nothing. */
  keepVolumes: boolean;
  /** The operator's secrets the image asks for, still encrypted. Absent: none. */
  secrets?: StackFiles["secrets"];
  /** The private network the PoP is a node of. Absent: none. */
  tailnet?: Tailnet | undefined;
  /** PEM of the authorities of its control server. Absent: the public ones. */
  tailnetCa?: string | undefined;
  /** What exists already and is taken over instead of made. */
  adopt?: { volume?: string; machine?: string; from?: string | undefined } | undefined;
  rollout: {
    /** PoPs out of service at once. */
    maxUnavailable: number;
    /** PoPs of one region out of service at once. */
    maxUnavailableInRegion: number;
    /** Seconds between cordon and stop. */
    drainSeconds: number;
    /** Seconds a new version may take until its checks pass. */
    timeoutSeconds: number;
    /** Machines that must be updated before this one: the canary's. */
    after: Machine[];
  };
}

/** One replica in one region: a volume, what is sealed to the identity on it, and the machine that mounts it. */
export class Pop extends pulumi.ComponentResource {
  readonly region: string;
  readonly volumeId: pulumi.Output<string>;
  /** The same for life: updates happen in place. */
  readonly machineId: pulumi.Output<string>;
  /** Version that runs, new with every change of config. */
  readonly version: pulumi.Output<string>;
  /** The host its volume lies on, and with it the PoP; null where Fly does not say. */
  readonly zone: pulumi.Output<string | null>;
  /** Its host does not answer, so what was wanted of it is still to be done. */
  readonly skipped: pulumi.Output<boolean>;
  /** What secrets are sealed to; absent in a stack without secrets. */
  readonly recipient: pulumi.Output<string> | undefined;
  /** A line of known_hosts; absent in a stack without secrets. */
  readonly knownHosts: pulumi.Output<string> | undefined;
  /** For rollout order: others depend on the machine alone, so that their volumes need not wait. */
  readonly machine: Machine;

  constructor(name: string, args: PopArgs, opts?: pulumi.ComponentResourceOptions) {
    super("fly-pops:index:Pop", name, {}, opts);
    const { app, region, rollout } = args;
    const guards = guardsOf(args);
    const volume = new Volume(
      `${name}-volume`,
      {
        pop: args.name,
        app,
        name: volumeName(args.name),
        region,
        sizeGb: args.volumeGb,
        snapshotDays: args.snapshotDays,
        guest: guestOf(args),
        organization: args.organization,
        adopt: args.adopt?.volume,
        kept: args.keepVolumes,
        owner: args.owner,
        adoptFrom: args.adopt?.from,
      },
      { parent: this, protect: guards.Volume, retainOnDelete: args.keepVolumes },
    );
    const usesMintedKey = args.tailnet?.driver !== undefined;
    const identity =
      args.secrets || usesMintedKey
        ? new Identity(
            `${name}-identity`,
            {
              pop: args.name,
              app,
              name: `${args.name}-identity`,
              machine: args.name,
              region,
              volume: volume.id,
              mountPath,
              hosts: sshNames(args),
              image: args.image,
              owner: args.owner,
              timeoutSeconds: rollout.timeoutSeconds,
            },
            { parent: this },
          )
        : undefined;
    const key = identity && this.#authKey(name, args, identity);
    this.machine = new Machine(
      `${name}-machine`,
      {
        pop: args.name,
        app,
        name: args.name,
        region,
        volume: volume.id,
        mountPath,
        config: machineConfig(
          args,
          pulumi.output(args.image),
          identity && sealedInBase64({ secrets: this.#secrets(name, args, identity), tailnet: key }),
          { context: args.context, addresses: args.addresses && pulumi.output(args.addresses) },
        ),
        owner: args.owner,
        routed: true,
        state: "started",
        adopt: args.adopt?.machine,
        adoptFrom: args.adopt?.from,
        joins: key && joinInput(args, key),
        timeoutSeconds: rollout.timeoutSeconds,
        drainSeconds: rollout.drainSeconds,
        maxUnavailable: rollout.maxUnavailable,
        maxUnavailableInRegion: rollout.maxUnavailableInRegion,
      },
      { parent: this, protect: guards.Machine, dependsOn: rollout.after },
    );
    this.region = region;
    this.volumeId = volume.id;
    this.machineId = this.machine.id;
    this.version = this.machine.instanceId;
    this.zone = volume.zone;
    this.skipped = pulumi.all([volume.complete, this.machine.complete]).apply((all) => all.includes(false));
    this.recipient = identity?.recipient;
    this.knownHosts = identity?.knownHosts;
    this.registerOutputs({
      region: this.region,
      volumeId: this.volumeId,
      machineId: this.machineId,
      version: this.version,
      ...(identity && { recipient: this.recipient, knownHosts: this.knownHosts }),
    });
  }

  /** The operator's secrets, sealed to the identity. */
  #secrets(name: string, { name: pop, secrets }: PopArgs, { recipient }: Identity): SealedSecrets | undefined {
    return secrets && new SealedSecrets(`${name}-secrets`, { pop, ...secrets, recipient }, { parent: this });
  }

  /** A key of its own to join the tailnet with, sealed to the identity; undefined where the operator's secrets have one. */
  #authKey(name: string, args: PopArgs, { recipient, isNew }: Identity): AuthKey | undefined {
    const { name: pop, tailnet } = args;
    const server = controlServer(args);
    return (
      tailnet &&
      server &&
      new AuthKey(
        `${name}-auth-key`,
        {
          ...server,
          pop,
          node: nodeName(pop, tailnet),
          tags: tailnet.tags,
          recipient,
          isNew,
          secretName: authKeyName,
        },
        { parent: this },
      )
    );
  }
}

/** Whoever makes keys for the tailnet's nodes; undefined where nobody does. */
function controlServer({ tailnet, tailnetCa }: PopArgs) {
  return tailnet?.driver && { driver: tailnet.driver, server: tailnet.loginServer, ca: tailnetCa };
}

/** What the machine must know of its key, so that it is not made with one that has ended. */
function joinInput(args: PopArgs, { expires }: AuthKey) {
  const server = controlServer(args);
  return server && args.tailnet && { ...server, node: nodeName(args.name, args.tailnet), expires };
}

/** What the machine is given that its identity alone can open, in base64. */
function sealedInBase64(kinds: { secrets?: SealedSecrets | undefined; tailnet?: AuthKey | undefined }) {
  const base64 = ({ sealed }: SealedSecrets | AuthKey) => sealed.apply((it) => Buffer.from(it).toString("base64"));
  return {
    ...(kinds.secrets && { secrets: base64(kinds.secrets) }),
    ...(kinds.tailnet && { tailnet: base64(kinds.tailnet) }),
  } satisfies SealedFiles<pulumi.Output<string>>;
}

/** What the tailnet knows it by. */
const nodeName = (pop: string, { hostPrefix }: Tailnet): string => `${hostPrefix}${pop}`;

/** Names for SSH: in the tailnet the short and the full one. */
const sshNames = ({ name, tailnet }: PopArgs): string[] =>
  tailnet ? [nodeName(name, tailnet), `${nodeName(name, tailnet)}.${tailnet.domain}`] : [name];
