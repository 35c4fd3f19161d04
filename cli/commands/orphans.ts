/** `orphans`: lists objects created by fly-pops that no stack owns. Deletes them only with --delete and after a confirmation. */
import type { Fly } from "../../fly/api.ts";
import { ifNotFound } from "../../fly/errors.ts";
import { metadataKeys } from "../../fly/metadata.ts";
import { table } from "../../lib/table.ts";
import { deleteWhenDetached } from "../../providers/fly/volume.ts";
import { type CliContext, CliError, confirm, type ExitCode, note, print, printJson } from "../context.ts";
import { type AppObjects, findOrphans, type Orphan, type OwnershipIndex, selectForDeletion } from "../orphans.ts";
import { pulumiOutput } from "../pulumi.ts";
import { owns, type Stack } from "../stack.ts";
import { assertUnlocked, pendingIn, readDeployment } from "../state.ts";
import { styled } from "../style.ts";

export interface OrphansOptions {
  json?: boolean;
  /** Look into every app of the organization. */
  organization?: boolean;
  delete?: boolean;
  yes?: boolean;
}

export async function orphans(
  context: CliContext,
  stack: Stack,
  ids: readonly string[],
  options: OrphansOptions,
): Promise<ExitCode> {
  if (ids.length > 0 && !options.delete)
    throw new CliError(`orphans: ${ids.join(", ")} would be deleted. Pass --delete to confirm`, { code: 2 });
  const { app, organization } = stack.config();
  const fly = await stack.fly();
  // First, because it may fail: without the owners the list would be misleading.
  const known = await readOwnership(context, stack);
  const apps = options.organization ? (await fly.listApps(organization)).flatMap(({ name }) => name ?? []) : [app];
  const found = await Promise.all([...new Set([app, ...apps])].map((name) => listObjects(fly, name)));
  const all = found
    // In an app without our machines, a volume with a name like ours belongs to another owner.
    .filter((it) => it.app === app || it.machines.some(({ config }) => config?.metadata?.[metadataKeys.stack]))
    .flatMap((it) => findOrphans(it.app === app ? it : { ...it, volumes: [], addresses: [] }, known, stack.config()));
  if (!options.json && all.length === 0)
    note(context, `No orphans: everything created by fly-pops in ${apps.join(", ")} belongs to a stack.`);
  else if (!options.json) print(context, orphanTable(context, all));
  const deleted = options.delete ? await deleteOrphans(context, stack, fly, all, ids, options) : new Set<string>();
  if (options.json)
    printJson(context, options.delete ? all.map((it) => ({ ...it, deleted: deleted.has(it.id) })) : all);
  return all.every(({ id, kept }) => kept || deleted.has(id)) ? 0 : 3;
}

async function readOwnership(context: CliContext, stack: Stack): Promise<OwnershipIndex> {
  const [deployment, list] = await Promise.all([
    readDeployment(context, stack),
    pulumiOutput(context, `${stack.name}: could not list the stacks`, ["stack", "ls", "--all", "--json"], stack.env),
  ]);
  const stacks = (JSON.parse(list) as { name: string }[]).map(({ name }) => {
    const parts = name.split("/");
    return `/${parts.length === 3 ? parts[1] : stack.project}/${parts.at(-1)}`;
  });
  return {
    isOwn: (owner) => owns(stack, owner),
    ids: new Set(deployment.resources.flatMap(({ id }) => id ?? [])),
    pending: pendingIn(deployment),
    hasStack: (owner) => stacks.some((it) => owner.endsWith(it)),
  };
}

async function listObjects(fly: Fly, app: string): Promise<AppObjects> {
  const [machines, volumes, addresses] = await Promise.all([
    fly.listMachines(app).catch(ifNotFound([])),
    fly.listVolumes(app).catch(ifNotFound([])),
    fly.listAddresses(app).catch(ifNotFound([])),
  ]);
  return { app, machines, volumes, addresses };
}

const orphanTable = (context: CliContext, all: readonly Orphan[]): string =>
  table([
    ["kind", "id", "app", "name", "region", "why"].map((cell) => styled(context, "head", cell)),
    ...all.map((it) => [it.kind, it.id, it.app, it.name, it.region, it.reason]),
  ]);

/** Deletes machines first, because a volume is released only when its machine is gone. Returns the ids of what was deleted. */
async function deleteOrphans(
  context: CliContext,
  stack: Stack,
  fly: Fly,
  all: readonly Orphan[],
  ids: readonly string[],
  { yes }: OrphansOptions,
): Promise<ReadonlySet<string>> {
  const deleted = new Set<string>();
  const { going, refusals } = selectForDeletion(all, ids);
  if (refusals.length > 0) throw new CliError(`orphans: ${refusals.join("; ")}. Nothing was deleted.`);
  if (going.length === 0) {
    if (all.some(({ kept }) => !kept))
      note(context, "Nothing was deleted: none of them belongs only to this stack. Inspect them with flyctl.");
    return deleted;
  }
  const what = going.map(({ kind, id }) => `${kind} ${id}`).join(", ");
  const on = going.length === 1 ? "it" : "them";
  if (!(await confirm(context, `Delete ${what} with all data on ${on}?`, yes))) {
    note(context, "Nothing was deleted.");
    return deleted;
  }
  // Machines of a running deployment are not in the state until they are healthy. A deployment that has started since shows now.
  await assertUnlocked(context, stack, "nothing was deleted, because a deployment may be running");
  const { ids: owned, pending } = await readOwnership(context, stack);
  const still = going.filter(({ id, name }) => !owned.has(id) && !pending.has(name));
  for (const it of still.filter(({ kind }) => kind === "machine")) {
    await fly.deleteMachine(it.app, it.id, { force: true }).catch(ifNotFound(undefined));
    deleted.add(it.id);
    note(context, `machine ${it.id} deleted`);
  }
  for (const it of still.filter(({ kind }) => kind === "volume")) {
    await deleteWhenDetached(it.id, { app: it.app, pop: it.name }, { fly, clock: context.clock });
    deleted.add(it.id);
    note(context, `volume ${it.id} deleted`);
  }
  return deleted;
}
