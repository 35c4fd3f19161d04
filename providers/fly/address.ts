/** A public address of an app. Traffic to it ends at the nearest healthy machine. */
import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import type { ChangeAction, Handler } from "../handler.ts";
import { type Args, FlyResource } from "../resource.ts";
import { isNotFound, mayHaveApplied } from "./errors.ts";
import { confirmAbsent, retryNotFound } from "./existence.ts";
import { pollUntil, staleReadMs, visibleBy } from "./lag.ts";
import { cachedForeignMachineIn, foreignMachineIn, sharedAppText } from "./owner.ts";
import type * as wire from "./wire.ts";

const lifecycle = {
  app: "replace",
  type: "replace", // no update exists for addresses
  adopt: "ignored", // said once, at create
  owner: "ignored", // an address has no mark
  adoptFrom: "ignored", // said once, at create
} satisfies Record<keyof AddressInputs, ChangeAction>;

export const AddressInputs = z.strictObject({
  app: z.string().min(1),
  /** v4: dedicated, billed. v6: dedicated, free. shared_v4: free, routes by TLS or HTTP name only, so not for raw TCP. */
  type: z.enum(["v4", "v6", "shared_v4"]),
  /** An address the app has already, to be taken over. Absent: the one of this type, or a new one. */
  adopt: z.string().optional(),
  /** The stack it belongs to, as organization/project/stack. Absent in state of a time before it was kept. */
  owner: z.string().min(1).optional(),
  /** A stack, named so as well, whose things may be taken over. Absent: nobody's. */
  adoptFrom: z.string().min(1).optional(),
});
export type AddressInputs = z.infer<typeof AddressInputs>;
export type AddressOutputs = AddressInputs & { schemaVersion: 1; ip: string };

/** Fly does not reliably say of which type a row is. */
export function addressType(row: wire.Address): AddressInputs["type"] | "other" {
  const ip = row.ip ?? "";
  // One that machines go out by has the look of an anycast one.
  if (ip === "" || ip.startsWith("fdaa:") || row.egress === true || row.type?.startsWith("egress_")) return "other";
  if (row.shared) return "shared_v4";
  return ip.includes(":") ? "v6" : "v4";
}

function find({ app, type, adopt }: AddressInputs, all: readonly wire.Address[]): string | undefined {
  const rows = all.filter((row) => addressType(row) === type && row.ip);
  if (adopt !== undefined) {
    if (rows.some((row) => row.ip === adopt)) return adopt;
    throw new Error(
      `${app}: address ${adopt} cannot be adopted, the app has ${rows.length === 0 ? `no address of type ${type}` : `only ${rows.map((row) => row.ip).join(", ")} of type ${type}`}. None was assigned. Correct fly-pops:adopt, or leave it out for a new address.`,
    );
  }
  if (rows.length > 1)
    throw new Error(
      `${app}: it has ${rows.length} addresses of type ${type} (${rows.map((row) => row.ip).join(", ")}), so which one is meant is unclear. None was taken over. Release all but one: fly ips release ADDRESS -a ${app}`,
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
  // A changed type may coexist with the old one; clients keep an address to reach.
  deleteBeforeReplace: false,
  async conflict(inputs, context) {
    const foreign = await cachedForeignMachineIn(inputs, context);
    return foreign && sharedAppText(inputs.app, foreign, `No ${inputs.type} address was assigned or taken over.`);
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
      `${inputs.app}: Fly assigned a ${inputs.type} address but did not say which. Run again: it will be found, not assigned twice.`,
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
          `address ${id} stays: the app ${outs.app} serves stack ${foreign.stack} too, by ${foreign.machine}. If nobody needs it: fly ips release ${id} -a ${outs.app}`,
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
  /** The address itself, also the resource's id. */
  declare readonly ip: pulumi.Output<string>;
  constructor(name: string, args: Args<AddressInputs>, opts?: pulumi.CustomResourceOptions) {
    super("Address", name, args, { schemaVersion: undefined, ip: undefined }, opts);
  }
}
