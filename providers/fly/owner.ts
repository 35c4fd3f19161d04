/**
 * Which stack an object on Fly belongs to. Machines have their stack in their metadata; apps, addresses and volumes belong to the stack of the live machines of
 * their app.
 */

import type { Fly } from "../../fly/api.ts";
import { isNotFound } from "../../fly/errors.ts";
import { isLive } from "../../fly/existence.ts";
import { metadataKeys } from "../../fly/metadata.ts";
import type { Machine, Volume } from "../../fly/wire.ts";
import type { Context } from "../handler.ts";

/** The stack a machine belongs to, as organization/project/stack; undefined if it was not created by fly-pops. */
export const ownerOf = ({ config, incomplete_config }: Machine): string | undefined =>
  (config ?? incomplete_config)?.metadata?.[metadataKeys.stack] || undefined;

/** A live machine of another stack. */
export interface ForeignMachine {
  /** Its name. */
  machine: string;
  stack: string;
}

/** What a resource claims: its app, its stack, and the stack whose objects it may adopt. */
export interface OwnershipClaim {
  app: string;
  /** Absent in the state of older versions: then no machine counts as foreign. */
  owner?: string | undefined;
  adoptFrom?: string | undefined;
}

type OwnershipContext = Pick<Context, "fly" | "formerNames">;

/** Returns whether the machines of a stack count as the resource's own. */
export const isOwnStackOf =
  ({ owner, adoptFrom }: OwnershipClaim, { formerNames }: OwnershipContext) =>
  (stack: string): boolean =>
    stack === owner || stack === adoptFrom || (formerNames?.has(stack) ?? false);

/** The first live machine among these that belongs to another stack. A machine without a mark belongs to none. */
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
  context: OwnershipContext,
  machinesOf: (app: string, fly: Fly) => Promise<Machine[]>,
): Promise<ForeignMachine | undefined> {
  if (claim.owner === undefined) return undefined;
  return findForeignMachine(await machinesOf(claim.app, context.fly), isOwnStackOf(claim, context));
}

/** The first live machine of an app that belongs to another stack. */
export const foreignMachineIn = (
  claim: OwnershipClaim,
  context: OwnershipContext,
): Promise<ForeignMachine | undefined> => foreignMachineOf(claim, context, (app, fly) => fly.listMachines(app));

/** Machines of each app as first listed by a run, so that a hundred volumes list them once. By client, of which each run has one. */
const machinesByClient = new WeakMap<Fly, Map<string, Promise<Machine[]>>>();

function machinesOnce(app: string, fly: Fly): Promise<Machine[]> {
  const byApp = machinesByClient.get(fly) ?? new Map<string, Promise<Machine[]>>();
  machinesByClient.set(fly, byApp);
  const known = byApp.get(app);
  if (known) return known;
  const list = fly.listMachines(app).catch((error: unknown) => {
    if (isNotFound(error)) return [];
    // Do not cache an error: the next caller lists again.
    byApp.delete(app);
    throw error;
  });
  byApp.set(app, list);
  return list;
}

/** An app that this run created has no machines of others: nothing needs to be listed. */
export function rememberNewApp(app: string, fly: Fly): void {
  machinesByClient.set(fly, (machinesByClient.get(fly) ?? new Map()).set(app, Promise.resolve([])));
}

/** Like foreignMachineIn, but lists the machines of each app only once per run. */
export const cachedForeignMachineIn = (
  claim: OwnershipClaim,
  context: OwnershipContext,
): Promise<ForeignMachine | undefined> => foreignMachineOf(claim, context, machinesOnce);

/** The live machine that a volume is attached to, if it is not of this stack. `stack` undefined: it was not created by fly-pops. */
export async function foreignMachineWith(
  { attached_machine_id: id }: Volume,
  claim: OwnershipClaim,
  context: OwnershipContext,
): Promise<{ machine: string; stack: string | undefined } | undefined> {
  if (!id || claim.owner === undefined) return undefined;
  const holder = (await machinesOnce(claim.app, context.fly)).find((it) => it.id === id && isLive(it));
  const stack = holder && ownerOf(holder);
  if (!holder || (stack !== undefined && isOwnStackOf(claim, context)(stack))) return undefined;
  return { machine: holder.name ?? holder.id, stack };
}

/** The two options if an app belongs to another stack. */
export const sharedAdvice = (stack: string): string =>
  `Two stacks cannot share an app, its addresses and its registry: choose another fly-pops:app. If that stack is gone and this one should adopt its objects, set fly-pops:adopt.from to ${stack}`;

/** Why an app of another stack is not used, and what to do. `state`: a sentence that says what was and was not changed. */
export const sharedAppText = (app: string, { machine, stack }: ForeignMachine, state: string): string =>
  `${app}: the app belongs to stack ${stack}, whose machine ${machine} runs in it. ${state} ${sharedAdvice(stack)}`;

/** Throws if the machine belongs to none of these stacks. A machine without a mark is accepted: its metadata was overwritten by hand. */
export function assertOwned(machine: Machine, pop: string, owners: readonly string[]): void {
  const stack = ownerOf(machine);
  if (stack === undefined || owners.includes(stack)) return;
  throw new Error(
    `${pop}: machine ${machine.id} belongs to stack ${stack} now. It was not changed. If that is intended, remove it from this stack (npx pulumi state delete) and give one of the two another fly-pops:app.`,
  );
}
