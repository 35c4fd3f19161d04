/** The stack's resources in Pulumi's state. */
import { z } from "zod";
import type { CliContext } from "./context.ts";
import { pulumiOutput } from "./pulumi.ts";
import type { Stack } from "./stack.ts";

const Resource = z.looseObject({
  urn: z.string(),
  type: z.string(),
  id: z.string().optional(),
  inputs: z.looseObject({ pop: z.string().optional(), name: z.string().optional() }).default({}),
  outputs: z.looseObject({}).default({}),
});
export type Resource = z.infer<typeof Resource>;
const Pending = z.looseObject({ resource: Resource, type: z.string() });
const Exported = z.looseObject({
  deployment: z
    .looseObject({ resources: z.array(Resource).nullish(), pending_operations: z.array(Pending).nullish() })
    .nullish(),
});

export interface Deployment {
  resources: Resource[];
  /** Operations that a run has started and not finished, because it is running or was interrupted. */
  pending: { resource: Resource; type: string }[];
}

/** The state, including pending operations. Does not take the lock. */
export async function readDeployment(context: CliContext, stack: Stack): Promise<Deployment> {
  const text = await pulumiOutput(
    context,
    `${stack.name}: could not read its state`,
    ["stack", "export", "--stack", stack.reference],
    stack.env,
  );
  const { deployment } = Exported.parse(JSON.parse(text));
  return { resources: deployment?.resources ?? [], pending: deployment?.pending_operations ?? [] };
}

/** All resources of the stack. Does not take the lock. */
export const readState = async (context: CliContext, stack: Stack): Promise<Resource[]> =>
  (await readDeployment(context, stack)).resources;

/** Names on Fly of pending resources. */
export const pendingIn = ({ pending }: Deployment): ReadonlySet<string> =>
  new Set(pending.flatMap(({ resource }) => resource.inputs.name ?? []));

/** The PoP's resource of this kind. */
export const resourceOfPop = (
  resources: readonly Resource[],
  kind: "Volume" | "Machine",
  pop: string,
): Resource | undefined => resources.find(({ type, inputs }) => type.endsWith(`/fly:${kind}`) && inputs.pop === pop);

/**
 * Throws if another run holds the state's lock, with the backend's message about its owner. It does so by taking the lock for a moment: no Pulumi command
 * shows the lock for every backend, and unprotecting the stack's root, which is never protected, changes nothing.
 */
export async function assertUnlocked(context: CliContext, stack: Stack, doing: string): Promise<void> {
  const root = (await readState(context, stack)).find(({ type }) => type === "pulumi:pulumi:Stack");
  if (!root) return;
  const args = ["state", "unprotect", root.urn, "--yes", "--stack", stack.reference];
  await pulumiOutput(context, `${stack.name}: ${doing}`, args, stack.env, "");
}
