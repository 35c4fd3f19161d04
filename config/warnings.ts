/** What a stack file allows and a stack should not be: said in every preview, refused by nobody but the policies. Pure. */
import { nearestOpen, regionByCode, regionsAsOf } from "../providers/fly/regions.ts";
import type { EdgeConfig } from "./types.ts";

/** Stacks that visitors rely on: `prod`, `production`, `prod-eu`. */
export const isProduction = (stack: string): boolean => /^prod(uction)?([-_.]|$)/.test(stack);

export function configWarnings(
  { pops, rollout, protect, keepVolumes }: Pick<EdgeConfig, "pops" | "rollout" | "protect" | "keepVolumes">,
  stack: string,
): string[] {
  const regions = [...new Set(pops.map(({ region }) => region))];
  const closed = regions.flatMap((code) => regionByCode(code) ?? []).filter((it) => it.deprecated);
  const warnings = closed.map(
    ({ code, city }) =>
      `Fly takes no new machines in ${city} (${code}), as of ${regionsAsOf}: a PoP that is there goes on and is updated, a new one is refused.${nearestOpen(code)}`,
  );
  if (!isProduction(stack)) return warnings;
  const [only] = regions;
  return [
    ...warnings,
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
