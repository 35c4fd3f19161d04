/** What a stack file allows and a stack should not be: said in every preview, refused by nobody but the policies. Pure. */
import { nearestOpen, regionByCode, regionsAsOf } from "../providers/fly/regions.ts";
import type { EdgeConfig } from "./types.ts";

/** Stacks that visitors rely on, as their file says (`fly-pops:production`), else by name: `prod`, `production`, `prod-eu`. */
export const isProduction = (stack: string, said?: boolean): boolean => said ?? /^prod(uction)?([-_.]|$)/.test(stack);

/** Variables that hold a secret by their name; one that says where it lies, or is a switch, holds none. */
const secretName = /(^|_)(PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|API_?KEY|SECRET_?KEY|PRIVATE_?KEY|ACCESS_?KEY)$/i;
const isPlain = (value: string): boolean =>
  value === "" || value.startsWith("/") || /^(true|false|\d{1,6})$/.test(value);

export function configWarnings(
  {
    pops,
    rollout,
    protect,
    keepVolumes,
    production,
    image,
  }: Pick<EdgeConfig, "pops" | "rollout" | "protect" | "keepVolumes" | "production" | "image">,
  stack: string,
): string[] {
  const regions = [...new Set(pops.map(({ region }) => region))];
  const closed = regions.flatMap((code) => regionByCode(code) ?? []).filter((it) => it.deprecated);
  const named = Object.entries(image.luggage).flatMap(([name, { env }]) =>
    Object.entries(env)
      .filter(([variable, value]) => secretName.test(variable) && !isPlain(value))
      .map(
        ([variable]) =>
          `luggage.${name}.env.${variable} is a secret by its name, and lies in the image for all to read. Put it into the secrets file, under a key of luggage.${name}.secrets: docs/secrets.md.`,
      ),
  );
  const ofRegions = closed.map(
    ({ code, city }) =>
      `Fly takes no new machines in ${city} (${code}), as of ${regionsAsOf}: a PoP that is there goes on and is updated, a new one is refused.${nearestOpen(code)}`,
  );
  const warnings = [...ofRegions, ...named];
  if (!isProduction(stack, production)) return warnings;
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
