/** Rules of the names that sites are asked for by. */
import { matchName } from "../../image/render/hosts.ts";
import { isWildcard } from "../../image/render/validators.ts";
import { nameInVault, sourceOf } from "../certificate-source.ts";
import { given, type Mistake, mistake } from "../mistakes.ts";
import { originParts, plainName } from "../names.ts";
import type { Sketch } from "../sketch.ts";
import type { Path } from "../walk.ts";
import { isPassedThrough } from "./pass-through.ts";

export interface Name {
  name: string;
  site: number;
  path: Path;
}

/** Names of all sites in the order they are written, the wrong ones left out. */
export function siteNames({ file }: Pick<Sketch, "file">): Name[] {
  return (file.sites ?? []).flatMap((site, index) => [
    ...(site?.host === undefined ? [] : [{ name: plainName(site.host), site: index, path: ["sites", index, "host"] }]),
    ...(site?.aliases ?? []).flatMap((alias, at) =>
      alias === undefined ? [] : [{ name: plainName(alias), site: index, path: ["sites", index, "aliases", at] }],
    ),
  ]);
}

/** One name, one site. */
export function hostsDiffer(sketch: Sketch): Mistake[] {
  const first = new Map<string, Name>();
  return siteNames(sketch).flatMap((it) => {
    const other = first.get(it.name);
    if (other === undefined) first.set(it.name, it);
    if (other === undefined) return [];
    const where = other.site === it.site && it.path.includes("aliases") ? "this site" : `sites[${other.site}]`;
    return [mistake(it.path, `is ${given(it.name)}: ${where} has it too. One host, one site.`)];
  });
}

/** Names that are in no site go to one site. */
export function oneDefault({ file }: Sketch): Mistake[] {
  const [first, ...others] = (file.sites ?? []).flatMap((site, index) => (site?.default === true ? [index] : []));
  return others.map((index) =>
    mistake(["sites", index, "default"], `is true: sites[${first}] is the default site already. There is one.`),
  );
}

/** A vault has no certificate under a wildcard's name: it has to be said under which it has one. */
export function wildcardsCertified(sketch: Sketch): Mistake[] {
  const { file, unclear } = sketch;
  if (file.certificates === undefined) return [];
  return siteNames(sketch).flatMap(({ name, site, path }) => {
    const said = file.sites?.[site]?.certificate;
    return !isWildcard(name) ||
      isPassedThrough(file.sites?.[site]) ||
      nameInVault(said) !== undefined ||
      sourceOf(said, file.certificates) !== "vault" ||
      unclear("sites", site, "certificate")
      ? []
      : [
          mistake(
            path,
            `is ${given(name)}: name its certificate in the vault under sites[${site}].certificate, as in ${name.slice(2)}.`,
          ),
        ];
  });
}

/** The certificate of an https origin that is an address is for the site's name, which a wildcard is not. */
export function wildcardOriginsNamed({ file, unclear }: Sketch): Mistake[] {
  return (file.sites ?? []).flatMap((site, index) => {
    if (site?.host === undefined || !isWildcard(site.host) || unclear("sites", index, "tls")) return [];
    if (isPassedThrough(site)) return [];
    const isUnnamed = (url: string | undefined): boolean =>
      url?.toLowerCase().startsWith("https:") === true && /^[[\d]/.test(originParts(url).host);
    if (site.tls?.serverName !== undefined || ![site.origin].flat().some(isUnnamed)) return [];
    return [
      mistake(
        ["sites", index, "origin"],
        `is asked by https at an address, and ${site.host} is no name for its certificate: name that under sites[${index}].tls.serverName.`,
      ),
    ];
  });
}

/** The site that answers a name, if one has it as it is or by a wildcard. */
export const siteOf = (names: readonly Name[], host: string): number | undefined => matchName(names, host)?.site;

/** The site that a URL leads to, on the ports that the edge has. */
export function siteOfUrl(names: readonly Name[], url: string): number | undefined {
  const { host, port } = originParts(url);
  return port === 80 || port === 443 ? siteOf(names, host) : undefined;
}
