/** Whose things on Fly are: machines have their stack in their metadata; apps, addresses and volumes are judged by the live machines of their app. */
import type { Context } from "../handler.ts";
import type { Fly } from "./api.ts";
import { isNotFound } from "./errors.ts";
import { isLive } from "./existence.ts";
import type { Machine, Volume } from "./wire.ts";

/** Metadata keys by which a machine is known as ours. */
export const ownerKeys = { stack: "fly_pops_stack", pop: "fly_pops_key" } as const;

/** The stack a machine belongs to, as organization/project/stack; undefined for one that no stack of fly-pops made. */
export const ownerOf = ({ config, incomplete_config }: Machine): string | undefined =>
  (config ?? incomplete_config)?.metadata?.[ownerKeys.stack] || undefined;

/** A live machine of another stack. */
export interface ForeignMachine {
  /** Its name. */
  machine: string;
  stack: string;
}

/** What a resource says of itself: its app, its stack, and the stack it was told to take over from. */
export interface OwnershipClaim {
  app: string;
  /** Absent in state of a time before it was kept: then nobody is foreign. */
  owner?: string | undefined;
  adoptFrom?: string | undefined;
}

type OwnershipContext = Pick<Context, "fly" | "formerNames">;

/** Whether a stack's machines may be taken for those of the resource's own. */
export const isOwnStackOf =
  ({ owner, adoptFrom }: OwnershipClaim, { formerNames }: OwnershipContext) =>
  (stack: string): boolean =>
    stack === owner || stack === adoptFrom || (formerNames?.has(stack) ?? false);

/** The first live machine of these that belongs to another stack. One without a mark is nobody's. */
export function findForeignMachine(
  machines: readonly Machine[],
  isOwn: (stack: string) => boolean,
): ForeignMachine | undefined {
  for (const machine of machines.filter(isLive)) {
    const stack = ownerOf(machine);
    if (stack !== undefined && !isOwn(stack)) return { machine: machine.name ?? machine.id, stack };
  }
  return undefined;
}

async function foreignMachineOf(
  claim: OwnershipClaim,
  world: OwnershipContext,
  machinesOf: (app: string, fly: Fly) => Promise<Machine[]>,
): Promise<ForeignMachine | undefined> {
  if (claim.owner === undefined) return undefined;
  return findForeignMachine(await machinesOf(claim.app, world.fly), isOwnStackOf(claim, world));
}

/** The first live machine of an app that is another stack's. */
export const foreignMachineIn = (claim: OwnershipClaim, world: OwnershipContext): Promise<ForeignMachine | undefined> =>
  foreignMachineOf(claim, world, (app, fly) => fly.listMachines(app));

/** Machines of an app as one run first saw them: a hundred volumes ask once. By the client, of which a run has one. */
const machinesByClient = new WeakMap<Fly, Map<string, Promise<Machine[]>>>();

function machinesOnce(app: string, fly: Fly): Promise<Machine[]> {
  const byApp = machinesByClient.get(fly) ?? new Map<string, Promise<Machine[]>>();
  machinesByClient.set(fly, byApp);
  const known = byApp.get(app);
  if (known) return known;
  const list = fly.listMachines(app).catch((error: unknown) => {
    if (isNotFound(error)) return [];
    // Not an answer: whoever asks next asks Fly.
    byApp.delete(app);
    throw error;
  });
  byApp.set(app, list);
  return list;
}

/** An app that this run made holds nothing of others: nobody need look. */
export function rememberNewApp(app: string, fly: Fly): void {
  machinesByClient.set(fly, (machinesByClient.get(fly) ?? new Map()).set(app, Promise.resolve([])));
}

/** As foreignIn, asked of Fly once a run and app. */
export const cachedForeignMachineIn = (
  claim: OwnershipClaim,
  world: OwnershipContext,
): Promise<ForeignMachine | undefined> => foreignMachineOf(claim, world, machinesOnce);

/** The live machine that has a volume, where it is none of ours; `stack` undefined: no stack of fly-pops made it. */
export async function foreignMachineWith(
  { attached_machine_id: id }: Volume,
  claim: OwnershipClaim,
  world: OwnershipContext,
): Promise<{ machine: string; stack: string | undefined } | undefined> {
  if (!id || claim.owner === undefined) return undefined;
  const holder = (await machinesOnce(claim.app, world.fly)).find((it) => it.id === id && isLive(it));
  const stack = holder && ownerOf(holder);
  if (!holder || (stack !== undefined && isOwnStackOf(claim, world)(stack))) return undefined;
  return { machine: holder.name ?? holder.id, stack };
}

/** The two ways to go on where an app is another stack's. */
export const sharedAdvice = (stack: string): string =>
  `Two stacks cannot share an app, its addresses and its registry: take another fly-pops:app. If that stack is gone and this one is to take over what it made: set fly-pops:adopt.from to ${stack}`;

/** Why an app of another stack is left alone, and how to go on. `state`: how things are, a sentence. */
export const sharedAppText = (app: string, { machine, stack }: ForeignMachine, state: string): string =>
  `${app}: the app belongs to stack ${stack}, whose machine ${machine} runs in it. ${state} ${sharedAdvice(stack)}`;

/** Throws for a machine that belongs to none of these stacks. One without a mark is taken: somebody wrote its metadata anew by hand. */
export function assertOwned(machine: Machine, pop: string, owners: readonly string[]): void {
  const stack = ownerOf(machine);
  if (stack === undefined || owners.includes(stack)) return;
  throw new Error(
    `${pop}: machine ${machine.id} belongs to stack ${stack} now. It was not changed. If that is right, take it out of this stack: npx pulumi state delete; and give one of the two another fly-pops:app.`,
  );
}
