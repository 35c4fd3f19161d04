/** What a stack file allows and a stack should not be: said in every preview, refused by nobody but the policies. Pure. */
import { pathPattern } from "../image/render/path-pattern.ts";
import { partsOf } from "../image/render/site-parts.ts";
import type { ImageSpec, Site } from "../image/spec.ts";
import { nearestOpenText, regionByCode, regionsAsOf } from "../providers/fly/regions.ts";
import { orders } from "./order-limits.ts";
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
      `Fly takes no new machines in ${city} (${code}), as of ${regionsAsOf}: a PoP that is there goes on and is updated, a new one is refused.${nearestOpenText(code)}`,
  );
  const warnings = [
    ...ofRegions,
    ...named,
    ...unlimitedSites(image),
    ...image.sites.flatMap(sharedPages),
    ...nginxFiles(image),
    ...(orders(pops.length, image)?.beyond ?? []),
  ];
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

/** Sites of which one visitor may ask anything. */
export const unlimitedSites = ({ sites }: Pick<ImageSpec, "sites">): string[] =>
  sites
    .filter(({ kind, limit }) => kind !== "redirect" && limit === undefined)
    .map(
      ({ host }) =>
        `${host} has no limit: one visitor can ask for as much as its PoP can answer, and Fly bills for all of it. Take limit: false out, or write one that fits, e.g. limit: { requests: 500/s }.`,
    );

/** What upgrades of this project cannot look after. */
export const nginxFiles = ({ nginx }: Pick<ImageSpec, "nginx">): string[] =>
  [nginx?.http, ...Object.values(nginx?.sites ?? {})].flatMap((file) =>
    file === undefined
      ? []
      : [
          `${file} is nginx's own configuration (fly-pops:nginx): the build checks that nginx takes it, but an upgrade may change what it relies on. Look at it before each: docs/nginx.md.`,
        ],
  );

/** Of what is stored against its origin's word: pages may be among it that are not for all. Rules for files, such as `*.css`, have none. */
const sharedPages = (site: Site): string[] =>
  partsOf(site).flatMap((part, at) => {
    if (part.kind !== "proxy" || !part.cache?.ignoreOrigin || isForFiles(part.path)) return [];
    // A rule that has it from its site is warned of with the site.
    if (at > 0 && site.kind === "proxy" && site.cache?.ignoreOrigin) return [];
    const { cookies } = part.cache;
    const who = cookies
      ? `all visitors without one of the cookies ${cookies.join(", ")}`
      : "all visitors without a cookie";
    return [
      `${site.host}${part.path ?? ""} stores what its origin says not to store (cache.ignoreOrigin): ${who} share its pages, and cookies that those set reach nobody, so a log-in there can break or show one visitor's page to others. Set it in rules under paths that have no log-in, e.g. *.css.`,
    ];
  });

const isForFiles = (path: string | undefined): boolean => {
  const pattern = path === undefined ? undefined : pathPattern(path);
  return pattern?.kind === "star" && /^\.[a-z0-9]+$/i.test(pattern.parts.at(-1) ?? "");
};
