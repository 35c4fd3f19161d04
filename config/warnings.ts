/** What a stack file allows and a stack should not be: said in every preview, refused by nobody but the policies. Pure. */
import type { EdgeConfig } from "./types.ts";

/** Stacks that visitors rely on: `prod`, `production`, `prod-eu`. */
export const isProduction = (stack: string): boolean => /^prod(uction)?([-_.]|$)/.test(stack);

export function configWarnings(
  { pops, rollout, protect, keepVolumes }: Pick<EdgeConfig, "pops" | "rollout" | "protect" | "keepVolumes">,
  stack: string,
): string[] {
  if (!isProduction(stack)) return [];
  const regions = [...new Set(pops.map(({ region }) => region))];
  const [only] = regions;
  return [
    ...(regions.length === 1
      ? [
          `Stack ${stack} has PoPs in one region only, ${only}: when that region is away, so are the sites. Add a second to fly-pops:regions.`,
        ]
      : []),
    ...(pops.length > 1 && rollout.canary === undefined
      ? [
          `Stack ${stack} has no canary: a change that breaks one PoP is first tried on any. Set fly-pops:rollout canary, e.g. to ${pops[0]?.name}.`,
        ]
      : []),
    ...(protect || keepVolumes
      ? []
      : [
          `Stack ${stack} neither protects nor keeps its volumes: a PoP that is taken out loses identity and cache. Set fly-pops:protect or fly-pops:keepVolumes to true.`,
        ]),
  ];
}
