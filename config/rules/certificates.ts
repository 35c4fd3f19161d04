/** Rules of where certificates come from. */
import { isWildcard } from "../../image/render/validators.ts";
import { sourceOf } from "../certificate-source.ts";
import { directoryUrl } from "../directory.ts";
import { given, type Mistake, mistake } from "../mistakes.ts";
import type { Sketch } from "../sketch.ts";
import { time } from "../time.ts";
import { siteNames } from "./hosts.ts";
import { isPassedThrough } from "./pass-through.ts";

/** What authorities allow in one certificate. https://letsencrypt.org/docs/rate-limits/ */
const mostNames = 100;

/** `certificates` says at least one source. */
export function sourceSaid({ file, unclear }: Sketch): Mistake[] {
  const { certificates } = file;
  const isSaid = (["acme", "vault"] as const).some(
    (key) => certificates?.[key] !== undefined || unclear("certificates", key),
  );
  return certificates === undefined || isSaid
    ? []
    : [mistake(["certificates"], "names no source: takes acme, vault or both.")];
}

/** A site's source is there, and what is said of it has a meaning. */
export function siteSources({ file, unclear }: Sketch): Mistake[] {
  if (unclear("certificates")) return [];
  return (file.sites ?? []).flatMap((site, index) => {
    const said = site?.certificate;
    if (said === undefined) return [];
    const at = ["sites", index, "certificate"];
    const source = sourceOf(said, file.certificates);
    if (source !== undefined && file.certificates?.[source] === undefined && !unclear("certificates", source))
      return [
        source === "vault"
          ? mistake(at, "names a certificate in the vault: there is none under certificates.")
          : mistake(at, "is from acme: there is none under certificates."),
      ];
    return source === "acme" && typeof said === "object" && said.name !== undefined
      ? [
          mistake(
            [...at, "name"],
            "stands beside from: acme, whose certificates are for the site's own names. Remove it.",
          ),
        ]
      : [];
  });
}

/** HTTP-01 proves a single name, by a request for it; DNS-01 proves wildcards too. */
export function namesProvable(sketch: Sketch): Mistake[] {
  const { file, unclear } = sketch;
  if (unclear("certificates")) return [];
  const ordered = (index: number): boolean =>
    !isPassedThrough(file.sites?.[index]) &&
    !unclear("sites", index, "certificate") &&
    sourceOf(file.sites?.[index]?.certificate, file.certificates) === "acme";
  const byDns = file.certificates?.acme?.dns !== undefined || unclear("certificates", "acme", "dns");
  const wildcards = siteNames(sketch).flatMap(({ name, site, path }) =>
    isWildcard(name) && ordered(site) && !byDns
      ? [
          mistake(
            path,
            `is ${given(name)}: ACME proves single names only by requests (HTTP-01). Let PoPs set records: certificates.acme.dns. Or have the wildcard's certificate from the vault, and name it there: sites[${site}].certificate: { from: vault, name: ${name.slice(2)} }.`,
          ),
        ]
      : [],
  );
  const crowded = (file.sites ?? []).flatMap((site, index) => {
    const names = 1 + (site?.aliases ?? []).length;
    return names > mostNames && ordered(index)
      ? [
          mistake(
            ["sites", index, "aliases"],
            `and host are ${names} names: a certificate of ACME has ${mostNames} at most. Make two sites of it.`,
          ),
        ]
      : [];
  });
  return [...wildcards, ...crowded];
}

/** Authorities that stand in for one another are several. */
export function directoriesDiffer({ file, unclear }: Sketch): Mistake[] {
  const { acme } = file.certificates ?? {};
  if (acme === undefined || unclear("certificates", "acme", "directory")) return [];
  const seen = [directoryUrl(acme.directory ?? "letsencrypt")];
  return (acme.fallback ?? []).flatMap((text, at) => {
    if (text === undefined) return [];
    const url = directoryUrl(text);
    if (seen.includes(url))
      return [mistake(["certificates", "acme", "fallback", at], `is ${given(text)}: that authority is asked already.`)];
    seen.push(url);
    return [];
  });
}

/** What is said of a vault's fields and of its secret_id has a meaning. */
export function vaultSayings({ file, unclear }: Sketch): Mistake[] {
  const { fields, secretId } = file.certificates?.vault ?? {};
  const at = ["certificates", "vault"];
  const { pem, ...others } = fields ?? {};
  const [beside] = unclear(...at, "fields") || pem === undefined ? [] : Object.keys(others);
  const [created, ends] = [secretId?.created, secretId?.ends].map((text) =>
    text === undefined ? undefined : time(text),
  );
  const isOver = !unclear(...at, "secretId") && created !== undefined && ends !== undefined && ends <= created;
  return [
    ...(beside === undefined
      ? []
      : [mistake([...at, "fields", "pem"], `stands beside ${beside}: key and certificates are in pem. Remove one.`)]),
    ...(isOver
      ? [mistake([...at, "secretId", "ends"], `is ${given(secretId?.ends)}: not after created, ${secretId?.created}.`)]
      : []),
  ];
}
