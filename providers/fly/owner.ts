/** Whose a machine is: the stack in its metadata. Apps and addresses have no such mark, so theirs are the marks of the machines in them. */
import type { Context } from "../handler.ts";
import { isLive } from "./gone.ts";
import type { Machine } from "./schema.ts";

/** Metadata keys by which a machine is known as ours. */
export const ownerKeys = { stack: "fly_pops_stack", pop: "fly_pops_key" } as const;

/** The stack a machine belongs to, as organization/project/stack; undefined for one that no stack of fly-pops made. */
export const ownerOf = ({ config, incomplete_config }: Machine): string | undefined =>
  (config ?? incomplete_config)?.metadata?.[ownerKeys.stack] || undefined;

/** The first live machine of an app that is another stack's. `owner` undefined: state is of a time before it was kept, and nobody is foreign. */
export async function foreignIn(
  app: string,
  owner: string | undefined,
  { fly }: Pick<Context, "fly">,
): Promise<{ pop: string; stack: string } | undefined> {
  if (owner === undefined) return undefined;
  for (const machine of (await fly.listMachines(app)).filter(isLive)) {
    const stack = ownerOf(machine);
    if (stack !== undefined && stack !== owner) return { pop: machine.name ?? machine.id, stack };
  }
  return undefined;
}

/** Throws for a machine that belongs to none of these stacks. One without a mark is taken: somebody wrote its metadata anew by hand. */
export function refuseForeign(machine: Machine, pop: string, owners: readonly string[]): void {
  const stack = ownerOf(machine);
  if (stack === undefined || owners.includes(stack)) return;
  throw new Error(
    `${pop}: machine ${machine.id} belongs to stack ${stack} now. Nothing was changed. If that is right, take it out of this stack: npx pulumi state delete; and give one of the two another fly-pops:app.`,
  );
}
