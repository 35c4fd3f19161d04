/** Warnings about valid but risky configuration. Every preview shows them, and only the policies reject them. Pure. */

import { nearestOpenText, regionByCode, regionsAsOf } from "../fly/regions.ts";
import { pathPattern } from "../image/render/path-pattern.ts";
import { partsOf } from "../image/render/site-parts.ts";
import type { ImageSpec, Site } from "../image/spec.ts";
import { orders } from "./order-limits.ts";
import type { EdgeConfig } from "./types.ts";

/** Whether visitors rely on a stack: as its file says (`fly-pops:production`), else by its name: `prod`, `production`, `prod-eu`. */
export const isProduction = (stack: string, setting?: boolean): boolean =>
  setting ?? /^prod(uction)?([-_.]|$)/.test(stack);

/** Names of variables that suggest a secret. A path, a boolean or a small number as value is not one. */
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
          `luggage.${name}.env.${variable} looks like a secret by its name, and is stored in plain text in the image. Put it into the secrets file, under a key of luggage.${name}.secrets: docs/secrets.md.`,
      ),
  );
  const ofRegions = closed.map(
    ({ code, city }) =>
      `Fly takes no new machines in ${city} (${code}), as of ${regionsAsOf}. Existing PoPs keep running and are updated, but new ones are rejected.${nearestOpenText(code)}`,
  );
  const warnings = [
    ...ofRegions,
    ...named,
    ...unlimitedSiteWarnings(image),
    ...image.sites.flatMap(sharedPageWarnings),
    ...nginxFileWarnings(image),
    ...(orders(pops.length, image)?.beyond ?? []),
  ];
  if (!isProduction(stack, production)) return warnings;
  const [only] = regions;
  return [
    ...warnings,
    ...(regions.length === 1
      ? [
          `Stack ${stack} has PoPs in one region only, ${only}, so if that region fails, all sites are down. Add a second region to fly-pops:regions.`,
        ]
      : []),
    ...(pops.length > 1 && rollout.canary === undefined
      ? [
          `Stack ${stack} has no canary, so a bad change may reach any PoP first. Set canary in fly-pops:rollout, e.g. to ${pops[0]?.name}.`,
        ]
      : []),
    ...(protect || keepVolumes
      ? []
      : [
          `Stack ${stack} neither protects nor keeps its volumes, so removing a PoP deletes its identity and cache. Set fly-pops:protect or fly-pops:keepVolumes to true.`,
        ]),
  ];
}

/** Sites without a limit per visitor. */
export const unlimitedSiteWarnings = ({ sites }: Pick<ImageSpec, "sites">): string[] =>
  sites
    .filter(({ kind, limit }) => kind !== "redirect" && limit === undefined)
    .map(
      ({ host }) =>
        `${host} has no limit: one visitor can use all of a PoP's capacity, and Fly bills for the traffic. Remove limit: false, or set a suitable limit, e.g. limit: { requests: 500/s }.`,
    );

/** nginx files of the user's own, which upgrades of fly-pops cannot adapt. */
export const nginxFileWarnings = ({ nginx }: Pick<ImageSpec, "nginx">): string[] =>
  [nginx?.http, ...Object.values(nginx?.sites ?? {})].flatMap((file) =>
    file === undefined
      ? []
      : [
          `${file} is custom nginx configuration (fly-pops:nginx). The build checks that nginx accepts it, but an upgrade may change what it relies on. Review it before each upgrade: docs/nginx.md.`,
        ],
  );

/** Caches that ignore the origin's headers may share personal pages. Rules for static files, such as `*.css`, do not. */
const sharedPageWarnings = (site: Site): string[] =>
  partsOf(site).flatMap((part, at) => {
    if (part.kind !== "proxy" || !part.cache?.ignoreOrigin || isForFiles(part.path)) return [];
    // A rule that inherits the setting is covered by the site's warning.
    if (at > 0 && site.kind === "proxy" && site.cache?.ignoreOrigin) return [];
    const { cookies } = part.cache;
    const who = cookies
      ? `all visitors without one of the cookies ${cookies.join(", ")}`
      : "all visitors without a cookie";
    return [
      `${site.host}${part.path ?? ""} stores responses that its origin says not to store (cache.ignoreOrigin): ${who} share its pages, and cookies set by stored responses are dropped. Logins can break, or one visitor's page can be shown to others. Set ignoreOrigin only in rules for paths without login, e.g. *.css.`,
    ];
  });

const isForFiles = (path: string | undefined): boolean => {
  const pattern = path === undefined ? undefined : pathPattern(path);
  return pattern?.kind === "star" && /^\.[a-z0-9]+$/i.test(pattern.parts.at(-1) ?? "");
};
