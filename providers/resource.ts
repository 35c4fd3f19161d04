import * as pulumi from "@pulumi/pulumi";

/** Resource types, as in their type tokens: pulumi-nodejs:dynamic/fly:Machine. Part of every URN, so they cannot be renamed. */
export type ResourceType = "App" | "Address" | "Volume" | "Identity" | "AuthKey" | "SealedSecrets" | "Machine";

/**
 * The provider code that Pulumi stores in state with each resource and evaluates in its dynamic host. It must never change: it loads the current code
 * instead of holding a serialized copy, so that refresh and destroy never run old code and no credential is captured. The path is relative to the
 * directory of Pulumi.yaml.
 */
export const providerSource = (type: ResourceType): string =>
  `exports.handler=()=>require("./providers/host.ts").handler("${type}")`;

/** Inputs as a program writes them: plain values, or outputs of other resources at any depth. In a preview only those outputs are unknown. */
export type Args<Inputs> = { [Property in keyof Inputs]: Deep<Inputs[Property]> };
type Deep<T> = pulumi.Input<T extends object ? { [Property in keyof T]: Deep<T[Property]> } : T>;

/**
 * Base class of all resources. It registers what pulumi.dynamic.Resource registers, but without serializing a closure.
 * `outputs` lists the properties that the handler computes; a property missing there has no Output at run time.
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
