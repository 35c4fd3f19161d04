/** `orphans`: objects with our marks that no stack owns. Lists them; deletes only when told to, and asked. */
import { table } from "../../local/table.ts";
import type { Fly } from "../../providers/fly/api.ts";
import { ifNotFound } from "../../providers/fly/errors.ts";
import { ownerKeys } from "../../providers/fly/owner.ts";
import { deleteWhenDetached } from "../../providers/fly/volume.ts";
import { type Found, goingOf, type Known, type Orphan, orphansIn } from "../orphans.ts";
import { askPulumi } from "../pulumi.ts";
import { owns, type Stack } from "../stack.ts";
import { pendingIn, readDeployment, refuseLocked } from "../state.ts";
import { tint } from "../style.ts";
import { confirmed, type ExitCode, note, print, printJson, Refusal, type World } from "../world.ts";

export interface OrphansOptions {
  json?: boolean;
  /** Look into every app of the organization. */
  organization?: boolean;
  delete?: boolean;
  yes?: boolean;
}

export async function orphans(
  world: World,
  stack: Stack,
  ids: readonly string[],
  options: OrphansOptions,
): Promise<ExitCode> {
  if (ids.length > 0 && !options.delete)
    throw new Refusal(`orphans: ${ids.join(", ")} would be deleted. Say so: --delete`, { code: 2 });
  const { app, organization } = stack.config();
  const fly = await stack.fly();
  // First what may say no: nothing is listed of which half the owners are unknown.
  const known = await knownTo(world, stack);
  const apps = options.organization ? (await fly.listApps(organization)).flatMap(({ name }) => name ?? []) : [app];
  const found = await Promise.all([...new Set([app, ...apps])].map((name) => look(fly, name)));
  const all = found
    // In an app without a machine of ours a volume of our pattern is somebody else's.
    .filter((it) => it.app === app || it.machines.some(({ config }) => config?.metadata?.[ownerKeys.stack]))
    .flatMap((it) => orphansIn(it.app === app ? it : { ...it, volumes: [], addresses: [] }, known, stack.config()));
  if (!options.json && all.length === 0)
    note(world, `No orphans: everything with our marks in ${apps.join(", ")} belongs to a stack.`);
  else if (!options.json) print(world, orphanTable(world, all));
  const deleted = options.delete ? await remove(world, stack, fly, all, ids, options) : new Set<string>();
  if (options.json) printJson(world, options.delete ? all.map((it) => ({ ...it, deleted: deleted.has(it.id) })) : all);
  return all.every(({ id, kept }) => kept || deleted.has(id)) ? 0 : 3;
}

async function knownTo(world: World, stack: Stack): Promise<Known> {
  const [deployment, list] = await Promise.all([
    readDeployment(world, stack),
    askPulumi(
      world,
      `${stack.name}: the list of stacks could not be read`,
      ["stack", "ls", "--all", "--json"],
      stack.env,
    ),
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

async function look(fly: Fly, app: string): Promise<Found> {
  const [machines, volumes, addresses] = await Promise.all([
    fly.listMachines(app).catch(ifNotFound([])),
    fly.listVolumes(app).catch(ifNotFound([])),
    fly.listAddresses(app).catch(ifNotFound([])),
  ]);
  return { app, machines, volumes, addresses };
}

const orphanTable = (world: World, all: readonly Orphan[]): string =>
  table([
    ["kind", "id", "app", "name", "region", "why"].map((cell) => tint(world, "head", cell)),
    ...all.map((it) => [it.kind, it.id, it.app, it.name, it.region, it.reason]),
  ]);

/** Machines first: a volume is let go when its machine is gone. Returns the ids of what was deleted. */
async function remove(
  world: World,
  stack: Stack,
  fly: Fly,
  all: readonly Orphan[],
  ids: readonly string[],
  { yes }: OrphansOptions,
): Promise<ReadonlySet<string>> {
  const deleted = new Set<string>();
  const { going, refusals } = goingOf(all, ids);
  if (refusals.length > 0) throw new Refusal(`orphans: ${refusals.join("; ")}. Nothing was deleted.`);
  if (going.length === 0) {
    if (all.some(({ kept }) => !kept))
      note(world, "Nothing was deleted: none of them is this stack's alone. Look at them with flyctl.");
    return deleted;
  }
  const what = going.map(({ kind, id }) => `${kind} ${id}`).join(", ");
  const on = going.length === 1 ? "it" : "them";
  if (!(await confirmed(world, `Delete ${what}, with all that is on ${on}?`, yes))) {
    note(world, "Nothing was deleted.");
    return deleted;
  }
  // What a deployment makes is in no state before it serves. Begun since the first look, it would show now.
  await refuseLocked(world, stack, "nothing was deleted, for a deployment may be under way");
  const { ids: owned, pending } = await knownTo(world, stack);
  const still = going.filter(({ id, name }) => !owned.has(id) && !pending.has(name));
  for (const it of still.filter(({ kind }) => kind === "machine")) {
    await fly.deleteMachine(it.app, it.id, { force: true }).catch(ifNotFound(undefined));
    deleted.add(it.id);
    note(world, `machine ${it.id} deleted`);
  }
  for (const it of still.filter(({ kind }) => kind === "volume")) {
    await deleteWhenDetached(it.id, { app: it.app, pop: it.name }, { fly, clock: world.clock });
    deleted.add(it.id);
    note(world, `volume ${it.id} deleted`);
  }
  return deleted;
}
