/** `orphans`: objects with our marks that no stack owns. Lists them; deletes only when told to, and asked. */
import { table } from "../../local/table.ts";
import type { Fly } from "../../providers/fly/api.ts";
import { isGone } from "../../providers/fly/errors.ts";
import { ownerKeys } from "../../providers/fly/owner.ts";
import { deleteDetached } from "../../providers/fly/volume.ts";
import { type Found, type Known, type Orphan, orphansIn } from "../orphans.ts";
import { askPulumi } from "../pulumi.ts";
import { owns, type Stack } from "../stack.ts";
import { tint } from "../style.ts";
import { confirmed, type ExitCode, note, print, printJson, type World } from "../world.ts";

export interface OrphansOptions {
  json?: boolean;
  /** Look into every app of the organization. */
  organization?: boolean;
  delete?: boolean;
  yes?: boolean;
}

export async function orphans(world: World, stack: Stack, options: OrphansOptions): Promise<ExitCode> {
  const { app, organization } = stack.config();
  const fly = await stack.fly();
  // First what may say no: nothing is listed of which half the owners are unknown.
  const known = await knownTo(world, stack);
  const apps = options.organization ? (await fly.listApps(organization)).flatMap(({ name }) => name ?? []) : [app];
  const found = await Promise.all([...new Set([app, ...apps])].map((name) => look(fly, name)));
  const all = found
    // In an app without a machine of ours a volume of our pattern is somebody else's.
    .filter((it) => it.app === app || it.machines.some(({ config }) => config?.metadata?.[ownerKeys.stack]))
    .flatMap((it) => orphansIn(it.app === app ? it : { ...it, volumes: [], addresses: [] }, known));
  if (options.json && !options.delete) printJson(world, all);
  else if (all.length === 0)
    note(world, `No orphans: everything with our marks in ${apps.join(", ")} belongs to a stack.`);
  else print(world, orphanTable(world, all));
  if (!options.delete) return all.length === 0 ? 0 : 3;
  return remove(world, fly, all, options);
}

async function knownTo(world: World, stack: Stack): Promise<Known> {
  const on = ["--stack", stack.reference];
  const asked = (doing: string, args: string[]) => askPulumi(world, `${stack.name}: ${doing}`, args, stack.env);
  const [state, list] = await Promise.all([
    asked("its state could not be read", ["stack", "export", ...on]),
    asked("the list of stacks could not be read", ["stack", "ls", "--all", "--json"]),
  ]);
  const { deployment } = JSON.parse(state) as { deployment?: { resources?: { id?: string }[] } };
  const stacks = (JSON.parse(list) as { name: string }[]).map(({ name }) => {
    const parts = name.split("/");
    return `/${parts.length === 3 ? parts[1] : stack.project}/${parts.at(-1)}`;
  });
  return {
    isOwn: (owner) => owns(stack, owner),
    ids: new Set((deployment?.resources ?? []).flatMap(({ id }) => id ?? [])),
    hasStack: (owner) => stacks.some((it) => owner.endsWith(it)),
  };
}

async function look(fly: Fly, app: string): Promise<Found> {
  const orNone = async <T>(list: Promise<T[]>): Promise<T[]> =>
    list.catch((error: unknown) => {
      if (isGone(error)) return [];
      throw error;
    });
  const [machines, volumes, addresses] = await Promise.all([
    orNone(fly.listMachines(app)),
    orNone(fly.listVolumes(app)),
    orNone(fly.listAddresses(app)),
  ]);
  return { app, machines, volumes, addresses };
}

const orphanTable = (world: World, all: readonly Orphan[]): string =>
  table([
    ["kind", "id", "app", "name", "region", "why"].map((cell) => tint(world, "head", cell)),
    ...all.map((it) => [it.kind, it.id, it.app, it.name, it.region, it.reason]),
  ]);

/** Machines first: a volume is let go when its machine is gone. */
async function remove(world: World, fly: Fly, all: readonly Orphan[], { yes }: OrphansOptions): Promise<ExitCode> {
  const going = all.filter(({ deletable }) => deletable);
  const staying = all.length - going.length;
  if (going.length === 0) {
    if (staying > 0)
      note(world, `Nothing was deleted: ${staying} of them may be somebody else's. Look at them with flyctl.`);
    return staying > 0 ? 3 : 0;
  }
  const what = going.map(({ kind, id }) => `${kind} ${id}`).join(", ");
  if (!(await confirmed(world, `Delete ${what}, with all that is on them?`, yes))) {
    note(world, "Nothing was deleted.");
    return 3;
  }
  for (const it of going.filter(({ kind }) => kind === "machine")) {
    await fly.deleteMachine(it.app, it.id, { force: true }).catch((error: unknown) => {
      if (!isGone(error)) throw error;
    });
    note(world, `machine ${it.id} deleted`);
  }
  for (const it of going.filter(({ kind }) => kind === "volume")) {
    await deleteDetached(it.id, { app: it.app, pop: it.name }, { fly, clock: world.clock });
    note(world, `volume ${it.id} deleted`);
  }
  return staying > 0 ? 3 : 0;
}
