import * as pulumi from "@pulumi/pulumi";
import { Machine } from "../providers/fly/machine.ts";
import { Volume } from "../providers/fly/volume.ts";
import { guestOf, type MachineShape, machineConfig, mountPath } from "./machine-config.ts";

export interface PopArgs extends MachineShape {
  /** Fly region code, e.g. cdg. */
  region: string;
  /** Slug of the Fly organization. */
  organization: string;
  /** GB of the volume, 1 to 500. Grows in place, never shrinks. */
  volumeGb: number;
  app: pulumi.Input<string>;
  /** Image reference pinned by digest. */
  image: pulumi.Input<string>;
  /** Stack the PoP belongs to, organization/project/stack. */
  owner: string;
  /** Pulumi refuses to delete the volume until this is false. */
  protect: boolean;
  /** The volume stays on Fly when the PoP goes. */
  keepVolume: boolean;
  /** What exists already and is taken over instead of made. */
  adopt?: { volume?: string; machine?: string } | undefined;
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

/** One replica in one region: a volume and the machine that mounts it. */
export class Pop extends pulumi.ComponentResource {
  readonly region: string;
  readonly volumeId: pulumi.Output<string>;
  /** The same for life: updates happen in place. */
  readonly machineId: pulumi.Output<string>;
  /** Version that runs, new with every change of config. */
  readonly version: pulumi.Output<string>;
  /** For rollout order: others depend on the machine alone, so that their volumes need not wait. */
  readonly machine: Machine;

  constructor(name: string, args: PopArgs, opts?: pulumi.ComponentResourceOptions) {
    super("fly-pops:index:Pop", name, {}, opts);
    const { app, region, rollout } = args;
    const volume = new Volume(
      `${name}-volume`,
      {
        pop: args.name,
        app,
        name: volumeName(args.name),
        region,
        sizeGb: args.volumeGb,
        guest: guestOf(args),
        organization: args.organization,
        adopt: args.adopt?.volume,
      },
      { parent: this, protect: args.protect, retainOnDelete: args.keepVolume },
    );
    this.machine = new Machine(
      `${name}-machine`,
      {
        pop: args.name,
        app,
        name: args.name,
        region,
        volume: volume.id,
        mountPath,
        config: machineConfig(args, args.image),
        owner: args.owner,
        routed: true,
        adopt: args.adopt?.machine,
        timeoutSeconds: rollout.timeoutSeconds,
        drainSeconds: rollout.drainSeconds,
        maxUnavailable: rollout.maxUnavailable,
        maxUnavailableInRegion: rollout.maxUnavailableInRegion,
      },
      { parent: this, dependsOn: rollout.after },
    );
    this.region = region;
    this.volumeId = volume.id;
    this.machineId = this.machine.id;
    this.version = this.machine.instanceId;
    this.registerOutputs({
      region: this.region,
      volumeId: this.volumeId,
      machineId: this.machineId,
      version: this.version,
    });
  }
}

/** cdg-1 -> pop_cdg_1: Fly takes no hyphens here. A volume has no metadata, so its name is how a cut-off run finds it again. */
export const volumeName = (pop: string): string => `pop_${pop.replaceAll("-", "_")}`;
