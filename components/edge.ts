import * as pulumi from "@pulumi/pulumi";
import type { EdgeConfig, Registry, StackFiles } from "../config.ts";
import { Address } from "../providers/fly/address.ts";
import { App } from "../providers/fly/app.ts";
import { guardsOf } from "./guards.ts";
import { SidecarImage } from "./image.ts";
import { Pop } from "./pop.ts";
import { rolloutOrder, unavailableLimits } from "./rollout.ts";

export interface EdgeArgs extends EdgeConfig {
  /** Stack that the edge belongs to, as organization/project/stack. Stored in the metadata of its machines, by which they are recognised. */
  owner: string;
  /** Registry that the image is pushed to. */
  registry: Registry;
  /** Digest of the build context of `imageRef`, set in previews (readAssumedContext). Absent: PoPs do not compare it. */
  assumedContext?: string | undefined;
  /** Contents of the files that the stack file names: secrets (still encrypted) and the CA of the tailnet. */
  files: StackFiles;
}

/**
 * The edge of one stack: an app, its anycast addresses, one image, and the PoPs that run it.
 * @example
 * const edge = new Edge("edge", { ...config, owner: "organization/fly-pops/prod", registry, files });
 * export const addresses = edge.addresses;
 */
export class Edge extends pulumi.ComponentResource {
  /** Name of the Fly app. */
  readonly app: pulumi.Output<string>;
  /** Anycast addresses by type (v4, v6), for the DNS records of the sites. */
  readonly addresses: pulumi.Output<Record<string, string>>;
  /** Image reference pinned by digest, e.g. registry.fly.io/my-edge@sha256:... */
  readonly image: pulumi.Output<string>;
  /** PoPs by name, e.g. cdg-1. */
  readonly pops: Record<string, Pop>;

  constructor(name: string, args: EdgeArgs, opts?: pulumi.ComponentResourceOptions) {
    super("fly-pops:index:Edge", name, {}, opts);
    const own = { parent: this };
    const guards = guardsOf(args);
    const claim = { owner: args.owner, adoptFrom: args.adopt.from };
    // The addresses belong to the app and are deleted with it.
    const app = new App(
      `${name}-app`,
      { app: args.app, organization: args.organization, ...claim },
      { ...own, protect: guards.App },
    );
    // Reference the app by its id, which stays known in previews of updates, unlike its outputs.
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

    // PoPs that order certificates first check whether a name resolves to the app.
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
 * Created after the machines, so that the engine deletes it before them: `pulumi destroy` of a protected stack fails here, while all PoPs still serve,
 * and not later at the addresses. Removing a PoP from the stack file is not affected.
 */
class DestroyGuard extends pulumi.ComponentResource {
  constructor(name: string, opts: pulumi.ComponentResourceOptions) {
    super("fly-pops:index:DestroyGuard", name, {}, opts);
    this.registerOutputs({});
  }
}
