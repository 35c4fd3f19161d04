/** The names of a site: its host and its aliases; the default site also answers all other names. */
import { createHash } from "node:crypto";
import type { ImageSpec, Site, SiteCache } from "../spec.ts";
import { cacheKeySuffix } from "./cache-policy.ts";
import { escapeRegExp, hostName, isWildcard, siteName } from "./validators.ts";

export type SiteNames = Pick<Site, "host" | "aliases" | "default">;

/** The host first, because nginx uses the first name of a server as its own. */
export const namesOf = ({ host, aliases = [] }: Pick<Site, "host" | "aliases">): string[] => [
  siteName(host),
  ...aliases.map(siteName).toSorted(),
];

/** Names of all sites that DNS can resolve: wildcards are left out. */
export const exactNames = (sites: readonly Pick<Site, "host" | "aliases">[]): string[] =>
  sites.flatMap(namesOf).filter((name) => !isWildcard(name));

const hasSeveralNames = (site: SiteNames): boolean =>
  isWildcard(site.host) || site.default === true || (site.aliases ?? []).length > 0;

/** The name of a site in URLs: its host, or the requested name if the site has several. */
export const requestedName = (site: SiteNames): string => (hasSeveralNames(site) ? "$host" : hostName(site.host));

/** Cache key of a site, as `pop purge` parses it (image/pop/purge). The origin sees the requested name, so names never share responses. */
export const cacheKey = (site: SiteNames, { ignoreQuery }: Pick<SiteCache, "ignoreQuery">): string =>
  `${hasSeveralNames(site) ? `${siteName(site.host)}@$host` : hostName(site.host)}${cacheKeySuffix(ignoreQuery)}`;

/** The name that nginx would match a host with: the same name, or the longest matching wildcard. https://nginx.org/en/docs/http/server_names.html */
export const matchName = <N extends { name: string }>(names: readonly N[], host: string): N | undefined =>
  names.find(({ name }) => name === host) ??
  names
    .filter(({ name }) => isWildcard(name) && host.endsWith(name.slice(1)))
    .toSorted((a, b) => b.name.length - a.name.length)[0];

/** The site that answers a host. */
export const findSite = <S extends SiteNames>(sites: readonly S[], host: string): S | undefined =>
  matchName(
    sites.flatMap((site) => namesOf(site).map((name) => ({ site, name }))),
    host,
  )?.site ?? sites.find((site) => site.default === true);

/** Part of a path or of an upstream's name. No host starts with an underscore. */
export const siteKey = (host: string): string => siteName(host).replace(/^\*/, "_wildcard");

/** Names of variables cannot have dots or dashes. */
export const siteDigest = (host: string): string => createHash("sha256").update(host).digest("hex").slice(0, 16);

/**
 * Regular expressions for names in URLs from an origin, with what replaces them: names that the origin uses for itself become the visitor's name for the site,
 * and the site's own names stay.
 * @param originNames names that the origin may use for itself
 */
export function namesInUrls(site: SiteNames, originNames: readonly string[]): { names: string; replacement: string }[] {
  if (!hasSeveralNames(site)) {
    const all = [...new Set([...originNames, site.host])].map(escapeRegExp).join("|");
    return [{ names: originNames.length === 0 ? all : `(?:${all})`, replacement: site.host }];
  }
  const own = namesOf(site);
  const others = originNames.filter((name) => !own.includes(name));
  return [
    ...(others.length > 0 ? [{ names: `(?:${others.map(escapeRegExp).join("|")})`, replacement: "$host" }] : []),
    { names: `(?<own>${own.map(namePattern).join("|")})`, replacement: "$own" },
  ];
}

const namePattern = (name: string): string =>
  isWildcard(name) ? `[a-z0-9.-]+${escapeRegExp(name.slice(1))}` : escapeRegExp(name);

/** Name of the site's certificate: of the requested name if the site has several, as each has a certificate of its own on the volume. */
export const certificateOf = (site: SiteNames): string =>
  (site.aliases ?? []).length > 0 ? `$certificate_${siteDigest(site.host)}` : siteName(site.host);

/** Variables of `certificateOf`. Clients that send no server name, or one that no site has, get the host's certificate. */
export const certificateMaps = (sites: readonly SiteNames[]): string[] =>
  sites
    .filter(({ aliases = [] }) => aliases.length > 0)
    .map((site) => {
      const pairs = namesOf(site).map((name) => `${name} ${name};`);
      return `map $ssl_server_name ${certificateOf(site)} { hostnames; ${pairs.join(" ")} default ${siteName(site.host)}; }`;
    });

/** All sites by their names, including those whose TLS ends at the origin. */
export const allSites = ({
  sites,
  passThrough = [],
}: Pick<ImageSpec, "sites" | "passThrough">): Pick<Site, "host" | "aliases">[] => [...sites, ...passThrough];

/** Throws if two sites have the same name, or two are the default. */
export function assertUniqueNames({ sites, passThrough = [] }: Pick<ImageSpec, "sites" | "passThrough">): void {
  const names = allSites({ sites, passThrough }).flatMap(namesOf).toSorted();
  const duplicate = names.find((name, at) => name === names[at + 1]);
  if (duplicate) throw new Error(`site ${duplicate}: it is defined twice.`);
  const defaults = sites.filter((site) => site.default === true);
  if (defaults.length > 1)
    throw new Error(`site ${defaults[1]?.host}: ${defaults[0]?.host} is already the default site.`);
}
