import * as pulumi from "@pulumi/pulumi";
import type { EdgeConfig, Registry, StackFiles } from "../config.ts";
import { Address } from "../providers/fly/address.ts";
import { App } from "../providers/fly/app.ts";
import { guardsOf } from "./guards.ts";
import { SidecarImage } from "./image.ts";
import { Pop } from "./pop.ts";
import { rolloutOrder, unavailableLimits } from "./rollout.ts";

export interface EdgeArgs extends EdgeConfig {
  /** Stack the edge belongs to, organization/project/stack: how its machines are known as its own. */
  owner: string;
  registry: Registry;
  /** Digest of the context that `imageRef` was built from, where a preview says it (readAssumedContext). Absent: not compared. */
  assumedContext?: string | undefined;
  files: StackFiles;
}

/** The whole edge of one stack: an app, its anycast addresses, one image, and the PoPs that run it. */
export class Edge extends pulumi.ComponentResource {
  readonly app: pulumi.Output<string>;
  /** Anycast addresses by type: what DNS records of the sites point to. */
  readonly addresses: pulumi.Output<Record<string, string>>;
  /** Reference pinned by digest. */
  readonly image: pulumi.Output<string>;
  /** By PoP name, e.g. cdg-1. */
  readonly pops: Record<string, Pop>;

  constructor(name: string, args: EdgeArgs, opts?: pulumi.ComponentResourceOptions) {
    super("fly-pops:index:Edge", name, {}, opts);
    const own = { parent: this };
    const guards = guardsOf(args);
    const claim = { owner: args.owner, adoptFrom: args.adopt.from };
    // The addresses are the app's, and go with it.
    const app = new App(
      `${name}-app`,
      { app: args.app, organization: args.organization, ...claim },
      { ...own, protect: guards.App },
    );
    // References to the app go by its id: in previews of updates it stays known where outputs would not.
    const addresses = args.addresses.map(
      (type) =>
        [
          type,
          new Address(
            `${name}-${type}`,
            { app: app.id, type, adopt: args.adopt.addresses[type], ...claim },
            { ...own, protect: guards.Address },
          ),
        ] as const,
    );
    const built = args.imageRef
      ? undefined
      : new SidecarImage(
          `${name}-image`,
          {
            app: app.id,
            spec: args.image,
            registry: args.registry,
            platform: args.imagePlatform === "host" ? undefined : args.imagePlatform,
          },
          own,
        );
    this.image = built?.ref ?? pulumi.output(args.imageRef ?? "");
    const context = built?.context ?? args.assumedContext;

    // PoPs that order certificates look whether a name leads to the app before they do.
    const announcedAddresses =
      args.image.certificates?.acme &&
      pulumi.all(addresses.map(([, address]) => address.ip)).apply((ips) => ips.join(" "));

    const createPop = (it: EdgeConfig["pops"][number], after: Pop[]) =>
      new Pop(
        `${name}-${it.name}`,
        {
          ...it,
          ports: args.image.ports,
          app: app.id,
          organization: args.organization,
          image: this.image,
          context,
          addresses: announcedAddresses,
          owner: args.owner,
          snapshotDays: args.snapshotDays,
          protect: args.protect,
          keepVolumes: args.keepVolumes,
          secrets: args.files.secrets,
          tailnet: args.image.tailnet,
          tailnetCa: args.files.tailnetCa,
          adopt: { ...args.adopt.pops[it.name], from: args.adopt.from },
          rollout: {
            ...args.rollout,
            ...unavailableLimits(args.pops, it.region, args.rollout.maxUnavailable),
            after: after.map(({ machine }) => machine),
          },
        },
        own,
      );
    const pops: Record<string, Pop> = {};
    let canary: Pop[] = [];
    for (const it of rolloutOrder(args.pops, args.rollout.canary)) {
      const made = createPop(it, canary);
      pops[it.name] = made;
      if (it.name === args.rollout.canary) canary = [made];
    }

    const machines = Object.values(pops).map(({ machine }) => machine);
    new DestroyGuard(`${name}-guard`, { ...own, protect: guards.DestroyGuard, dependsOn: machines });

    this.app = app.id;
    this.addresses = pulumi.output(Object.fromEntries(addresses.map(([type, address]) => [type, address.ip])));
    this.pops = pops;
    this.registerOutputs({
      app: this.app,
      addresses: this.addresses,
      image: this.image,
      pops: Object.fromEntries(Object.entries(this.pops).map(([key, it]) => [key, it.machineId])),
    });
  }
}

/**
 * Made after the machines, so the engine deletes it before them: `pulumi destroy` of a protected stack fails here, while everything still serves,
 * and not at the addresses, which come after the machines. A PoP that is taken out by the stack file is not affected.
 */
class DestroyGuard extends pulumi.ComponentResource {
  constructor(name: string, opts: pulumi.ComponentResourceOptions) {
    super("fly-pops:index:DestroyGuard", name, {}, opts);
    this.registerOutputs({});
  }
}
