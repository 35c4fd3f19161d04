/** A Fly app, which owns machines, volumes and addresses. Its name is unique across Fly and cannot be changed. */
import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { FlyError, isConflict, isNotFound, mayHaveApplied } from "../../fly/errors.ts";
import { confirmAbsent, isLive, retryNotFound } from "../../fly/existence.ts";
import { newAppMs, pollUntil, visibleBy } from "../../fly/lag.ts";
import type * as wire from "../../fly/wire.ts";
import { sleep } from "../../lib/clock.ts";
import type { ChangeAction, Context, Handler } from "../handler.ts";
import { type Args, FlyResource } from "../resource.ts";
import { cachedForeignMachineIn, foreignMachineIn, rememberNewApp, sharedAppText } from "./owner.ts";

const lifecycle = {
  app: "replace",
  organization: "replace", // Fly can move an app to another organization, but not by this API
  owner: "ignored", // an app has no mark
  adoptFrom: "ignored", // used at create only
} satisfies Record<keyof AppInputs, ChangeAction>;

export const AppInputs = z.strictObject({
  /** Name of the app. */
  app: z.string().min(1),
  /** Slug of the organization that owns the app and is billed for it. */
  organization: z.string().min(1),
  /** The stack it belongs to, as organization/project/stack. Absent in the state of older versions. */
  owner: z.string().min(1).optional(),
  /** A stack, as organization/project/stack, whose objects may be adopted. Absent: none. */
  adoptFrom: z.string().min(1).optional(),
});
export type AppInputs = z.infer<typeof AppInputs>;
export type AppOutputs = AppInputs & { schemaVersion: 1 };

/** Holds only for the app: everything else in a stack depends on it and comes later. */
const unchanged = "Nothing was changed.";

const toOutputs = (inputs: AppInputs): AppOutputs => ({ ...inputs, schemaVersion: 1 });

/**
 * A personal organization has two slugs, `personal` and a unique one, and Fly returns either. The organization's list of apps shows whether both are the
 * same organization. With a token that may not list apps, they count as different.
 */
async function sameOrganization(a: string, b: string, { app }: AppInputs, { fly }: Context): Promise<boolean> {
  if (a === b) return true;
  if (a !== "personal" && b !== "personal") return false;
  try {
    return (await fly.listApps(b)).some(({ name }) => name === app);
  } catch {
    return false;
  }
}

async function find(inputs: AppInputs, context: Context): Promise<wire.App | undefined> {
  try {
    const app = await context.fly.getApp(inputs.app);
    const owner = app.organization?.slug;
    if (owner !== undefined && !(await sameOrganization(owner, inputs.organization, inputs, context)))
      throw new Error(
        `${inputs.app}: the app belongs to organization "${owner}", not to "${inputs.organization}". Nothing was changed. Set fly-pops:organization to its owner, or choose another fly-pops:app.`,
      );
    return app;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    if (error instanceof FlyError && error.status === 403) throw nameTakenError(inputs, error);
    throw error;
  }
}

const nameTakenError = (inputs: AppInputs, error: FlyError): Error =>
  new Error(
    `${inputs.app}: an app of this name belongs to another organization, or the token may not read it (${error.message}). Nothing was changed. App names are global: choose another fly-pops:app, or use a token of its organization.`,
    { cause: error },
  );

/** Waits until the app can be read. For some seconds Fly returns 404 or 403 for a new app, also if the create may still take effect. */
async function waitUntilVisible(inputs: AppInputs, until: number, context: Context): Promise<void> {
  const { clock } = context;
  const found = await pollUntil(clock, until, () =>
    find(inputs, context).catch((error: unknown) => {
      if (clock.now() >= until) throw error;
      return undefined;
    }),
  );
  if (!found)
    throw new Error(
      `${inputs.app}: the app was created, but Fly does not show it yet. Run again in a minute: it is found then, not created twice.`,
    );
}

/** How long Fly's counts may lag behind its lists after machines and volumes were deleted. */
const countLagMs = 60_000;
/** Between the two checks before an app is deleted. */
const recheckMs = 3_000;

/** What an app contains, by Fly's lists and its counts: lists have been empty by mistake. Empty: nothing. */
async function listContents(app: string, { fly, clock }: Context): Promise<string[]> {
  let left: string[] = [];
  const poll = async (): Promise<"decided" | undefined> => {
    const { machine_count, volume_count } = await fly.getApp(app);
    const machines = await fly.listMachines(app);
    const volumes = await fly.listVolumes(app);
    const live = [
      ...machines.filter(isLive).map(({ id, name }) => ({ id, what: `machine ${name ?? id}` })),
      ...volumes.filter(isLive).map(({ id }) => ({ id, what: `volume ${id}` })),
    ];
    // Objects being deleted are still listed and may be counted; objects this run deleted may be shown as before.
    const counted = [
      ...unlisted("machine", machine_count, machines.length),
      ...unlisted("volume", volume_count, volumes.length),
    ];
    const kept = live.filter(({ id }) => !fly.hasDeleted(id));
    left = [...(kept.length > 0 ? kept : live).map(({ what }) => what), ...counted];
    return kept.length > 0 || left.length === 0 ? "decided" : undefined;
  };
  await pollUntil(clock, clock.now() + countLagMs, poll);
  return left;
}

const unlisted = (what: string, count: number | undefined, listed: number): string[] =>
  count !== undefined && count > listed
    ? [`${count} ${what}${count === 1 ? "" : "s"} (Fly counts them, but lists ${listed})`]
    : [];

export const appHandler = {
  schema: AppInputs,
  lifecycle,
  deleteBeforeReplace: false,
  async conflict(inputs, context) {
    const foreign = await cachedForeignMachineIn(inputs, context);
    return foreign && sharedAppText(inputs.app, foreign, unchanged);
  },
  async create(inputs, context) {
    if (await find(inputs, context)) {
      const foreign = await foreignMachineIn(inputs, context);
      if (foreign) throw new Error(sharedAppText(inputs.app, foreign, unchanged));
      context.log(`app ${inputs.app} exists, adopted`);
      return { id: inputs.app, outs: toOutputs(inputs) };
    }
    let until = context.clock.now() + newAppMs;
    try {
      await context.fly.createApp({ name: inputs.app, org_slug: inputs.organization });
    } catch (error) {
      // A conflict right after a 404 is that of our own create without a response, or another client was faster: a read shows which.
      if (!isConflict(error) && !mayHaveApplied(error)) throw error;
      until = Math.max(until, visibleBy(error, context.clock));
    }
    await waitUntilVisible(inputs, until, context);
    rememberNewApp(inputs.app, context.fly);
    return { id: inputs.app, outs: toOutputs(inputs) };
  },
  async read(_id, outs, context) {
    try {
      const app = await retryNotFound(context.clock, () => context.fly.getApp(outs.app));
      const { schemaVersion: _, ...known } = outs;
      const owner = app.organization?.slug ?? outs.organization;
      const same = await sameOrganization(owner, outs.organization, outs, context);
      const inputs = { ...known, organization: same ? outs.organization : owner };
      return { outs: toOutputs(inputs), inputs };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  },
  // Every change replaces the app: an update has nothing to send to Fly.
  update: async (_id, _olds, news) => toOutputs(news),
  async delete(_id, outs, context) {
    const { fly, clock, log } = context;
    try {
      // Deleting an app deletes everything in it, so it is deleted only after two checks found it empty.
      const first = await listContents(outs.app, context);
      if (first.length === 0) await sleep(clock, recheckMs);
      const left = first.length > 0 ? first : await listContents(outs.app, context);
      if (left.length > 0) {
        log(
          `app ${outs.app} is kept: it still holds ${left.join(", ")}, which this stack does not own or is configured to keep`,
        );
        return;
      }
      await fly.deleteApp(outs.app);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      await confirmAbsent(`app ${outs.app}`, error, clock, async () => (await fly.getApp(outs.app)) !== undefined);
    }
  },
} satisfies Handler<AppInputs, AppOutputs>;

export class App extends FlyResource<AppInputs> {
  declare readonly app: pulumi.Output<string>;
  declare readonly organization: pulumi.Output<string>;
  constructor(name: string, args: Args<AppInputs>, opts?: pulumi.CustomResourceOptions) {
    super("App", name, args, { schemaVersion: undefined }, opts);
  }
}
