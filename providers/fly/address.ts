/** A public anycast address of an app. Fly routes its traffic to the nearest healthy machine. */
import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { isNotFound, mayHaveApplied } from "../../fly/errors.ts";
import { confirmAbsent, retryNotFound } from "../../fly/existence.ts";
import { pollUntil, staleReadMs, visibleBy } from "../../fly/lag.ts";
import type * as wire from "../../fly/wire.ts";
import type { ChangeAction, Handler } from "../handler.ts";
import { type Args, FlyResource } from "../resource.ts";
import { cachedForeignMachineIn, foreignMachineIn, sharedAppText } from "./owner.ts";

const lifecycle = {
  app: "replace",
  type: "replace", // no update exists for addresses
  adopt: "ignored", // used at create only
  owner: "ignored", // an address has no mark
  adoptFrom: "ignored", // used at create only
} satisfies Record<keyof AddressInputs, ChangeAction>;

export const AddressInputs = z.strictObject({
  app: z.string().min(1),
  /** v4: dedicated, billed. v6: dedicated, free. shared_v4: free, routed by TLS or HTTP host name, so not usable for raw TCP. */
  type: z.enum(["v4", "v6", "shared_v4"]),
  /** An address of the app to adopt. Absent: the existing one of this type, or a new one. */
  adopt: z.string().optional(),
  /** The stack it belongs to, as organization/project/stack. Absent in the state of older versions. */
  owner: z.string().min(1).optional(),
  /** A stack, as organization/project/stack, whose objects may be adopted. Absent: none. */
  adoptFrom: z.string().min(1).optional(),
});
export type AddressInputs = z.infer<typeof AddressInputs>;
export type AddressOutputs = AddressInputs & { schemaVersion: 1; ip: string };

/** The type of an address, which Fly does not always state. */
export function addressType(row: wire.Address): AddressInputs["type"] | "other" {
  const ip = row.ip ?? "";
  // An egress address looks like an anycast address.
  if (ip === "" || ip.startsWith("fdaa:") || row.egress === true || row.type?.startsWith("egress_")) return "other";
  if (row.shared) return "shared_v4";
  return ip.includes(":") ? "v6" : "v4";
}

function find({ app, type, adopt }: AddressInputs, all: readonly wire.Address[]): string | undefined {
  const rows = all.filter((row) => addressType(row) === type && row.ip);
  if (adopt !== undefined) {
    if (rows.some((row) => row.ip === adopt)) return adopt;
    throw new Error(
      `${app}: address ${adopt} cannot be adopted, the app has ${rows.length === 0 ? `no address of type ${type}` : `only ${rows.map((row) => row.ip).join(", ")} of type ${type}`}. No address was assigned. Correct fly-pops:adopt, or remove it to get a new address.`,
    );
  }
  if (rows.length > 1)
    throw new Error(
      `${app}: it has ${rows.length} addresses of type ${type} (${rows.map((row) => row.ip).join(", ")}), so it is unclear which one to use. None was adopted. Release all but one: fly ips release ADDRESS -a ${app}`,
    );
  return rows[0]?.ip ?? undefined;
}

const toResult = (inputs: AddressInputs, ip: string) => ({
  id: ip,
  outs: { ...inputs, schemaVersion: 1 as const, ip },
});

const toInputs = ({ schemaVersion: _, ip: __, ...inputs }: AddressOutputs): AddressInputs => inputs;

export const addressHandler = {
  schema: AddressInputs,
  lifecycle,
  // Both addresses can exist at once, so that clients always have one.
  deleteBeforeReplace: false,
  async conflict(inputs, context) {
    const foreign = await cachedForeignMachineIn(inputs, context);
    return foreign && sharedAppText(inputs.app, foreign, `No ${inputs.type} address was assigned or adopted.`);
  },
  async create(inputs, context) {
    const conflict = await addressHandler.conflict(inputs, context);
    if (conflict !== undefined) throw new Error(conflict);
    const found = find(inputs, await context.fly.knownAddresses(inputs.app));
    if (found) {
      context.log(`address ${found} exists, adopted`);
      return toResult(inputs, found);
    }
    try {
      const { ip } = await context.fly.assignAddress(inputs.app, { type: inputs.type });
      if (ip) return toResult(inputs, ip);
    } catch (error) {
      if (!mayHaveApplied(error)) throw error;
      const { clock, fly } = context;
      const look = async () => find(inputs, await fly.listAddresses(inputs.app));
      const ip = await pollUntil(clock, visibleBy(error, clock), look);
      if (ip) return toResult(inputs, ip);
      throw error;
    }
    throw new Error(
      `${inputs.app}: Fly assigned a ${inputs.type} address but did not say which. Run again: it is found then, not assigned twice.`,
    );
  },
  async read(id, outs, { fly, clock }) {
    try {
      const look = async () => (await fly.listAddresses(outs.app)).find((it) => it.ip === id);
      const row = await retryNotFound(clock, () => pollUntil(clock, clock.now() + staleReadMs, look));
      return row && { outs, inputs: toInputs(outs) };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  },
  update: async (_id, olds, news) => ({ ...olds, ...news }),
  async delete(id, { adoptFrom: _, ...outs }, context) {
    const { fly, clock, log } = context;
    try {
      const foreign = await foreignMachineIn(outs, context);
      if (foreign)
        return log(
          `address ${id} is kept: the app ${outs.app} serves stack ${foreign.stack} too, by ${foreign.machine}. If it is no longer needed: fly ips release ${id} -a ${outs.app}`,
        );
      await fly.releaseAddress(outs.app, id);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      await confirmAbsent(`address ${id}`, error, clock, async () =>
        (await fly.listAddresses(outs.app)).some(({ ip }) => ip === id),
      );
    }
  },
} satisfies Handler<AddressInputs, AddressOutputs>;

export class Address extends FlyResource<AddressInputs> {
  declare readonly type: pulumi.Output<string>;
  /** The IP address, which is also the resource's id. */
  declare readonly ip: pulumi.Output<string>;
  constructor(name: string, args: Args<AddressInputs>, opts?: pulumi.CustomResourceOptions) {
    super("Address", name, args, { schemaVersion: undefined, ip: undefined }, opts);
  }
}
