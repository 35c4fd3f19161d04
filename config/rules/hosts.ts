/** Rules for the host names of sites. */
import { matchName } from "../../image/render/hosts.ts";
import { isWildcard } from "../../image/render/validators.ts";
import { nameInVault, sourceOf } from "../certificate-source.ts";
import { type ConfigIssue, formatValue, issue } from "../issues.ts";
import type { Path } from "../schema-path.ts";
import type { ValidPart } from "../valid-part.ts";
import { normalizeName, originParts } from "../validators.ts";
import { isPassedThrough } from "./pass-through.ts";

export interface SiteName {
  name: string;
  site: number;
  path: Path;
}

/** Valid names of all sites, in the order of the file. */
export function siteNames({ file }: Pick<ValidPart, "file">): SiteName[] {
  return (file.sites ?? []).flatMap((site, index) => [
    ...(site?.host === undefined
      ? []
      : [{ name: normalizeName(site.host), site: index, path: ["sites", index, "host"] }]),
    ...(site?.aliases ?? []).flatMap((alias, at) =>
      alias === undefined ? [] : [{ name: normalizeName(alias), site: index, path: ["sites", index, "aliases", at] }],
    ),
  ]);
}

/** Every name belongs to one site only. */
export function checkUniqueHosts(valid: ValidPart): ConfigIssue[] {
  const first = new Map<string, SiteName>();
  return siteNames(valid).flatMap((it) => {
    const other = first.get(it.name);
    if (other === undefined) first.set(it.name, it);
    if (other === undefined) return [];
    const where = other.site === it.site && it.path.includes("aliases") ? "this site" : `sites[${other.site}]`;
    return [
      issue(it.path, `is ${formatValue(it.name)}: ${where} has this host already. A host may appear in one site only.`),
    ];
  });
}

/** At most one site is the default for unknown names. */
export function checkSingleDefault({ file }: ValidPart): ConfigIssue[] {
  const [first, ...others] = (file.sites ?? []).flatMap((site, index) => (site?.default === true ? [index] : []));
  return others.map((index) =>
    issue(["sites", index, "default"], `is true: sites[${first}] is the default site already. There can be only one.`),
  );
}

/** A vault stores no certificate under a wildcard name, so the site has to give the certificate's name. */
export function checkWildcardCertificates(valid: ValidPart): ConfigIssue[] {
  const { file, isInvalid } = valid;
  if (file.certificates === undefined) return [];
  return siteNames(valid).flatMap(({ name, site, path }) => {
    const said = file.sites?.[site]?.certificate;
    return !isWildcard(name) ||
      isPassedThrough(file.sites?.[site]) ||
      nameInVault(said) !== undefined ||
      sourceOf(said, file.certificates) !== "vault" ||
      isInvalid("sites", site, "certificate")
      ? []
      : [
          issue(
            path,
            `is ${formatValue(name)}: a wildcard needs the name of its certificate in the vault. Set sites[${site}].certificate, for example to ${name.slice(2)}.`,
          ),
        ];
  });
}

/** An https origin given by its address must have a certificate for the site's host, and a wildcard host is not a name to verify. */
export function checkWildcardOriginNames({ file, isInvalid }: ValidPart): ConfigIssue[] {
  return (file.sites ?? []).flatMap((site, index) => {
    if (site?.host === undefined || !isWildcard(site.host) || isInvalid("sites", index, "tls")) return [];
    if (isPassedThrough(site)) return [];
    const isUnnamed = (url: string | undefined): boolean =>
      url?.toLowerCase().startsWith("https:") === true && /^[[\d]/.test(originParts(url).host);
    if (site.tls?.serverName !== undefined || ![site.origin].flat().some(isUnnamed)) return [];
    return [
      issue(
        ["sites", index, "origin"],
        `is an https URL with an IP address, and the wildcard ${site.host} cannot be verified in its certificate. Set sites[${index}].tls.serverName.`,
      ),
    ];
  });
}

/** Index of the site for a host, matched exactly or by a wildcard. */
export const siteByHost = (names: readonly SiteName[], host: string): number | undefined =>
  matchName(names, host)?.site;

/** Index of the site that a URL leads to, if it uses a port of the edge (80 or 443). */
export function siteByUrl(names: readonly SiteName[], url: string): number | undefined {
  const { host, port } = originParts(url);
  return port === 80 || port === 443 ? siteByHost(names, host) : undefined;
}
