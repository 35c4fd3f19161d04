import * as pulumi from "@pulumi/pulumi";
import type { StackFiles } from "../config.ts";
import { authKeyName } from "../image/render/secrets.ts";
import type { Tailnet } from "../image/spec.ts";
import { AuthKey } from "../providers/auth-key.ts";
import { Identity } from "../providers/fly/identity.ts";
import { Machine } from "../providers/fly/machine.ts";
import { Volume } from "../providers/fly/volume.ts";
import { SealedSecrets } from "../providers/sealed-secrets.ts";
import { guardsOf } from "./guards.ts";
import { guestOf, machineConfig, mountPath, type PopMachine, type SealedFiles } from "./machine-config.ts";
import { volumeName } from "./placement.ts";

export interface PopArgs extends PopMachine {
  /** Fly region code, e.g. cdg. */
  region: string;
  /** Slug of the Fly organization. */
  organization: string;
  /** Size of the volume in GB, 1 to 500. It grows in place and cannot shrink. */
  volumeGb: number;
  /** Name of the Fly app. */
  app: pulumi.Input<string>;
  /** Image reference pinned by digest. */
  image: pulumi.Input<string>;
  /** Digest of the build context that the image must have. Absent: not compared. */
  context?: string | undefined;
  /** The app's addresses, separated by spaces. Absent: the PoP does not need them. */
  addresses?: pulumi.Input<string> | undefined;
  /** Stack that the PoP belongs to, as organization/project/stack. */
  owner: string;
  /** Days for which Fly keeps daily snapshots of the volume. 0: none are taken. */
  snapshotDays: number;
  /** Whether Pulumi refuses to delete what cannot be recreated on Fly (guards.ts). */
  protect: boolean;
  /** Whether the volume is kept on Fly when the PoP is removed. */
  keepVolumes: boolean;
  /** The operator's secrets that the image needs, still encrypted. Absent: none. */
  secrets?: StackFiles["secrets"];
  /** The tailnet that the PoP joins. Absent: none. */
  tailnet?: Tailnet | undefined;
  /** PEM of the CA certificates to trust for its control server. Absent: the public ones. */
  tailnetCa?: string | undefined;
  /** Existing objects to adopt: ids of volume and machine, and the stack that they may belong to. Absent: none. */
  adopt?: { volume?: string; machine?: string; from?: string | undefined } | undefined;
  rollout: {
    /** Maximum number of PoPs out of service at once. */
    maxUnavailable: number;
    /** Maximum number of PoPs of one region out of service at once. */
    maxUnavailableInRegion: number;
    /** Seconds between cordon and stop. */
    drainSeconds: number;
    /** Seconds a new version may take until its checks pass. */
    timeoutSeconds: number;
    /** Machines that are updated before this one: that of the canary. */
    after: Machine[];
  };
}

/** One replica in one region: a volume, secrets encrypted to the identity on it, and the machine that mounts it. */
export class Pop extends pulumi.ComponentResource {
  /** Fly region code. */
  readonly region: string;
  /** Id of the volume, e.g. vol_4xp... */
  readonly volumeId: pulumi.Output<string>;
  /** Id of the machine. It never changes, as updates happen in place. */
  readonly machineId: pulumi.Output<string>;
  /** The current version, a ULID. Each change of the config creates a new one. */
  readonly version: pulumi.Output<string>;
  /** The host of its volume and machine; null: Fly does not say. */
  readonly zone: pulumi.Output<string | null>;
  /** True if it was not updated because its host does not answer. */
  readonly skipped: pulumi.Output<boolean>;
  /** Recipient of its secrets, `ssh-ed25519 AAAA...`; undefined in a stack without secrets. */
  readonly recipient: pulumi.Output<string> | undefined;
  /** Line for known_hosts; undefined in a stack without secrets. */
  readonly knownHosts: pulumi.Output<string> | undefined;
  /** For the rollout order: other PoPs depend on the machine only, so that their volumes do not wait for it. */
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
    const usesMintedKey = args.tailnet?.controlPlane !== undefined;
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

  /** The operator's secrets, encrypted to the identity. */
  #secrets(name: string, { name: pop, secrets }: PopArgs, { recipient }: Identity): SealedSecrets | undefined {
    return secrets && new SealedSecrets(`${name}-secrets`, { pop, ...secrets, recipient }, { parent: this });
  }

  /** The auth key for joining the tailnet, encrypted to the identity; undefined if the operator's secrets have one. */
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

/** The control server that creates auth keys; undefined: auth keys are not created. */
function controlServer({ tailnet, tailnetCa }: PopArgs) {
  return tailnet?.controlPlane && { driver: tailnet.controlPlane, server: tailnet.loginServer, ca: tailnetCa };
}

/** Input of the machine for checking that its auth key has not expired. */
function joinInput(args: PopArgs, { expires }: AuthKey) {
  const server = controlServer(args);
  return server && args.tailnet && { ...server, node: nodeName(args.name, args.tailnet), expires };
}

/** Files for the machine that only its identity can decrypt, in base64. */
function sealedInBase64(kinds: { secrets?: SealedSecrets | undefined; tailnet?: AuthKey | undefined }) {
  const base64 = ({ sealed }: SealedSecrets | AuthKey) => sealed.apply((it) => Buffer.from(it).toString("base64"));
  return {
    ...(kinds.secrets && { secrets: base64(kinds.secrets) }),
    ...(kinds.tailnet && { tailnet: base64(kinds.tailnet) }),
  } satisfies SealedFiles<pulumi.Output<string>>;
}

/** Name of the node in the tailnet. */
const nodeName = (pop: string, { hostPrefix }: Tailnet): string => `${hostPrefix}${pop}`;

/** Host names for SSH: in a tailnet the short and the fully qualified name. */
const sshNames = ({ name, tailnet }: PopArgs): string[] =>
  tailnet ? [nodeName(name, tailnet), `${nodeName(name, tailnet)}.${tailnet.domain}`] : [name];
