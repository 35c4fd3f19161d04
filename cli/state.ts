/** What Pulumi's state has of one PoP. */
import { z } from "zod";
import { askPulumi } from "./pulumi.ts";
import type { Stack } from "./stack.ts";
import type { World } from "./world.ts";

const Resource = z.looseObject({
  urn: z.string(),
  type: z.string(),
  id: z.string().optional(),
  inputs: z.looseObject({ pop: z.string().optional() }).default({}),
  outputs: z.looseObject({}).default({}),
});
export type Resource = z.infer<typeof Resource>;
const Exported = z.looseObject({
  deployment: z.looseObject({ resources: z.array(Resource).nullish() }).nullish(),
});

/** All resources of the stack. Takes no lock. */
export async function readState(world: World, stack: Stack): Promise<Resource[]> {
  const text = await askPulumi(
    world,
    `${stack.name}: its state could not be read`,
    ["stack", "export", "--stack", stack.reference],
    stack.env,
  );
  return Exported.parse(JSON.parse(text)).deployment?.resources ?? [];
}

/** The one of this kind that belongs to the PoP. */
export const ofPop = (resources: readonly Resource[], kind: "Volume" | "Machine", pop: string): Resource | undefined =>
  resources.find(({ type, inputs }) => type.endsWith(`/fly:${kind}`) && inputs.pop === pop);
