/** What Pulumi's state has of the stack. */
import { z } from "zod";
import { askPulumi } from "./pulumi.ts";
import type { Stack } from "./stack.ts";
import type { World } from "./world.ts";

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
  /** What a run has begun and not ended: one that is under way, or was cut off. */
  pending: { resource: Resource; type: string }[];
}

/** What is under way as well. Takes no lock. */
export async function readDeployment(world: World, stack: Stack): Promise<Deployment> {
  const text = await askPulumi(
    world,
    `${stack.name}: its state could not be read`,
    ["stack", "export", "--stack", stack.reference],
    stack.env,
  );
  const { deployment } = Exported.parse(JSON.parse(text));
  return { resources: deployment?.resources ?? [], pending: deployment?.pending_operations ?? [] };
}

/** All resources of the stack. Takes no lock. */
export const readState = async (world: World, stack: Stack): Promise<Resource[]> =>
  (await readDeployment(world, stack)).resources;

/** Names on Fly of what is pending. */
export const pendingIn = ({ pending }: Deployment): ReadonlySet<string> =>
  new Set(pending.flatMap(({ resource }) => resource.inputs.name ?? []));

/** The one of this kind that belongs to the PoP. */
export const ofPop = (resources: readonly Resource[], kind: "Volume" | "Machine", pop: string): Resource | undefined =>
  resources.find(({ type, inputs }) => type.endsWith(`/fly:${kind}`) && inputs.pop === pop);

/**
 * Refuses while another run has the state's lock, with the backend's own word on whose it is. By taking it for a moment: no command of Pulumi's tells
 * of it for every backend, and unprotecting the stack's root, which is never protected, changes nothing.
 */
export async function refuseLocked(world: World, stack: Stack, doing: string): Promise<void> {
  const root = (await readState(world, stack)).find(({ type }) => type === "pulumi:pulumi:Stack");
  if (!root) return;
  const args = ["state", "unprotect", root.urn, "--yes", "--stack", stack.reference];
  await askPulumi(world, `${stack.name}: ${doing}`, args, stack.env, "");
}
