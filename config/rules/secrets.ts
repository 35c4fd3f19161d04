/** Rules for secrets, and for who creates the tailnet's auth keys. */
import { type ConfigIssue, issue } from "../issues.ts";
import { pathText } from "../schema-path.ts";
import type { ValidPart } from "../valid-part.ts";
import { clientCertificates, headerSecrets } from "./requests.ts";

/** Every secret that the image needs comes from the secrets file or is created by the control plane. */
export function checkSecretsFile({ file, isInvalid }: ValidPart): ConfigIssue[] {
  if ((file.secretsFile !== undefined && file.secretsFile !== "") || isInvalid("secretsFile")) return [];
  const luggage = Object.keys(file.luggage ?? {})
    .toSorted()
    .filter((name) => (file.luggage?.[name]?.secrets ?? []).length > 0);
  const asking = [
    ...(file.tailnet !== undefined && file.tailnet.controlPlane === undefined && !isInvalid("tailnet", "controlPlane")
      ? ["tailnet needs tailscaleAuthKey (or controlPlane, which creates one for each PoP)"]
      : []),
    ...(file.certificates?.vault === undefined ? [] : ["certificates needs vaultRoleId and vaultSecretId"]),
    ...[file.certificates?.acme?.eab, file.certificates?.acme?.share].flatMap((key) =>
      key === undefined ? [] : [`certificates.acme needs ${key}`],
    ),
    ...(file.certificates?.acme?.dns?.secret === undefined
      ? []
      : [`certificates.acme.dns needs ${file.certificates.acme.dns.secret}`]),
    ...(file.sites ?? []).flatMap((site, index) =>
      site?.auth?.basic === undefined ? [] : [`sites[${index}].auth needs ${site.auth.basic}`],
    ),
    ...clientCertificates({ file }).map(({ at, key }) => `${pathText(at)} needs ${key}`),
    ...headerSecrets({ file }).map(({ at, keys }) => `${pathText([...at, "requestHeaders"])} needs ${keys.join(", ")}`),
    ...luggage.map(
      (name) => `luggage.${name} needs ${(file.luggage?.[name]?.secrets ?? []).filter(Boolean).join(", ")}`,
    ),
  ];
  return asking.length === 0
    ? []
    : [issue(["secretsFile"], `is missing: ${asking.join("; ")}. Set it to a sops file, as in ./secrets.yaml.`)];
}

/** The control plane matches the control server, and `ca` is set for a self-hosted control server only. */
export function checkControlServer({ file, isInvalid }: ValidPart): ConfigIssue[] {
  const { controlPlane, loginServer, ca } = file.tailnet ?? {};
  if (isInvalid("tailnet", "loginServer")) return [];
  const issues = [];
  if (controlPlane === "headscale" && loginServer === undefined)
    issues.push(
      issue(
        ["tailnet", "controlPlane"],
        "is headscale, but tailnet.loginServer is missing. Set it to headscale's URL.",
      ),
    );
  if (controlPlane === "tailscale" && loginServer !== undefined)
    issues.push(
      issue(
        ["tailnet", "controlPlane"],
        "is tailscale, which cannot be combined with tailnet.loginServer: Tailscale's API creates keys for Tailscale's own control server only. Remove one of them.",
      ),
    );
  if (ca !== undefined && loginServer === undefined)
    issues.push(
      issue(["tailnet", "ca"], "needs tailnet.loginServer: Tailscale's own control server has a public certificate."),
    );
  return issues;
}
