import * as pulumi from "@pulumi/pulumi";

/** Kinds by module, as their type tokens name them: pulumi-nodejs:dynamic/fly:Machine. Part of every URN, so frozen. */
export type ResourceType = "App" | "Address" | "Volume" | "Identity" | "AuthKey" | "SealedSecrets" | "Machine";

/**
 * The provider text that Pulumi keeps in state with each resource and evaluates in its dynamic host. Constant for ever: it names today's code instead
 * of holding a copy of yesterday's, so refresh and destroy never run old code, and no credential can be captured in it. Relative to the folder of Pulumi.yaml.
 */
export const providerSource = (type: ResourceType): string =>
  `exports.handler=()=>require("./providers/host.ts").handler("${type}")`;

/** Inputs as a program writes them: plain values, or outputs of other resources at any depth, so that in a preview only these leaves are unknown. */
export type Args<Inputs> = { [Property in keyof Inputs]: Deep<Inputs[Property]> };
type Deep<T> = pulumi.Input<T extends object ? { [Property in keyof T]: Deep<T[Property]> } : T>;

/**
 * Base of all kinds. It registers exactly what pulumi.dynamic.Resource would, minus the closure serializer.
 * `outputs` names what only the handler can know; a property that is not named here has no Output at run time.
 */
export abstract class FlyResource<Inputs extends object> extends pulumi.CustomResource {
  constructor(
    type: ResourceType,
    name: string,
    args: Args<Inputs>,
    outputs: Record<string, undefined>,
    opts?: pulumi.CustomResourceOptions,
  ) {
    super(`pulumi-nodejs:dynamic/fly:${type}`, name, { ...args, ...outputs, __provider: providerSource(type) }, opts);
  }
}
