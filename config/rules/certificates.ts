/** Rules for the sources of certificates. */
import { isWildcard } from "../../image/render/validators.ts";
import { sourceOf } from "../certificate-source.ts";
import { directoryUrl } from "../directory.ts";
import { type ConfigIssue, formatValue, issue } from "../issues.ts";
import { time } from "../time.ts";
import type { ValidPart } from "../valid-part.ts";
import { siteNames } from "./hosts.ts";
import { isPassedThrough } from "./pass-through.ts";

/** Maximum number of names in a certificate. https://letsencrypt.org/docs/rate-limits/ */
const mostNames = 100;

/** `certificates` has at least one source. */
export function checkCertificateSources({ file, isInvalid }: ValidPart): ConfigIssue[] {
  const { certificates } = file;
  const isSaid = (["acme", "vault"] as const).some(
    (key) => certificates?.[key] !== undefined || isInvalid("certificates", key),
  );
  return certificates === undefined || isSaid
    ? []
    : [issue(["certificates"], "has no source: set acme, vault or both.")];
}

/** The source of a site's certificate exists, and its keys fit the source. */
export function checkSiteCertificates({ file, isInvalid }: ValidPart): ConfigIssue[] {
  if (isInvalid("certificates")) return [];
  return (file.sites ?? []).flatMap((site, index) => {
    const said = site?.certificate;
    if (said === undefined) return [];
    const at = ["sites", index, "certificate"];
    const source = sourceOf(said, file.certificates);
    if (source !== undefined && file.certificates?.[source] === undefined && !isInvalid("certificates", source))
      return [
        source === "vault"
          ? issue(at, "names a certificate in the vault, but certificates.vault is not set.")
          : issue(at, "is from acme, but certificates.acme is not set."),
      ];
    return source === "acme" && typeof said === "object" && said.name !== undefined
      ? [
          issue(
            [...at, "name"],
            "cannot be combined with from: acme, whose certificates are always for the site's own names. Remove it.",
          ),
        ]
      : [];
  });
}

/** HTTP-01 validates single names only, by a request to each; DNS-01 validates wildcards too. */
export function checkAcmeNames(valid: ValidPart): ConfigIssue[] {
  const { file, isInvalid } = valid;
  if (isInvalid("certificates")) return [];
  const ordered = (index: number): boolean =>
    !isPassedThrough(file.sites?.[index]) &&
    !isInvalid("sites", index, "certificate") &&
    sourceOf(file.sites?.[index]?.certificate, file.certificates) === "acme";
  const byDns = file.certificates?.acme?.dns !== undefined || isInvalid("certificates", "acme", "dns");
  const wildcards = siteNames(valid).flatMap(({ name, site, path }) =>
    isWildcard(name) && ordered(site) && !byDns
      ? [
          issue(
            path,
            `is ${formatValue(name)}: HTTP-01 proves single names only. Set certificates.acme.dns, or take the wildcard's certificate from the vault: set sites[${site}].certificate to { from: vault, name: ${name.slice(2)} }.`,
          ),
        ]
      : [],
  );
  const crowded = (file.sites ?? []).flatMap((site, index) => {
    const names = 1 + (site?.aliases ?? []).length;
    return names > mostNames && ordered(index)
      ? [
          issue(
            ["sites", index, "aliases"],
            `and host are ${names} names in total, but an ACME certificate has at most ${mostNames}. Split the site.`,
          ),
        ]
      : [];
  });
  return [...wildcards, ...crowded];
}

/** Fallback authorities differ from each other and from the first. */
export function checkUniqueDirectories({ file, isInvalid }: ValidPart): ConfigIssue[] {
  const { acme } = file.certificates ?? {};
  if (acme === undefined || isInvalid("certificates", "acme", "directory")) return [];
  const seen = [directoryUrl(acme.directory ?? "letsencrypt")];
  return (acme.fallback ?? []).flatMap((text, at) => {
    if (text === undefined) return [];
    const url = directoryUrl(text);
    if (seen.includes(url))
      return [
        issue(["certificates", "acme", "fallback", at], `is ${formatValue(text)}: this authority is listed already.`),
      ];
    seen.push(url);
    return [];
  });
}

/** A vault's fields and the times of its secret_id are consistent. */
export function checkVault({ file, isInvalid }: ValidPart): ConfigIssue[] {
  const { fields, secretId } = file.certificates?.vault ?? {};
  const at = ["certificates", "vault"];
  const beside =
    fields?.pem === undefined
      ? undefined
      : (["key", "chain", "certificate"] as const).find((name) => fields[name] !== undefined);
  const [created, ends] = [secretId?.created, secretId?.ends].map((text) =>
    text === undefined ? undefined : time(text),
  );
  const isOver = !isInvalid(...at, "secretId") && created !== undefined && ends !== undefined && ends <= created;
  return [
    ...(beside === undefined
      ? []
      : [
          issue(
            [...at, "fields", "pem"],
            `cannot be combined with ${beside}: pem contains key and certificates. Remove one.`,
          ),
        ]),
    ...(isOver
      ? [
          issue(
            [...at, "secretId", "ends"],
            `is ${formatValue(secretId?.ends)}: must be after created, ${secretId?.created}.`,
          ),
        ]
      : []),
  ];
}
