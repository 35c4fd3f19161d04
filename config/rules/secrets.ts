/** Rules of secrets, and of who makes the keys of the tailnet. */
import { type Mistake, mistake } from "../mistakes.ts";
import type { Sketch } from "../sketch.ts";
import { pathText } from "../walk.ts";
import { clientCertificates, headerSecrets } from "./requests.ts";

/** What the image asks for is in a file, or made by a driver. */
export function secretsKept({ file, unclear }: Sketch): Mistake[] {
  if ((file.secretsFile !== undefined && file.secretsFile !== "") || unclear("secretsFile")) return [];
  const luggage = Object.keys(file.luggage ?? {})
    .toSorted()
    .filter((name) => (file.luggage?.[name]?.secrets ?? []).length > 0);
  const asking = [
    ...(file.tailnet !== undefined && file.tailnet.driver === undefined && !unclear("tailnet", "driver")
      ? ["tailnet needs tailscaleAuthKey (or a driver, which makes one for each PoP)"]
      : []),
    ...(file.certificates?.vault === undefined ? [] : ["certificates needs vaultRoleId and vaultSecretId"]),
    ...(file.certificates?.acme?.eab === undefined ? [] : [`certificates.acme needs ${file.certificates.acme.eab}`]),
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
    : [mistake(["secretsFile"], `is missing: ${asking.join("; ")}. Name a file of sops, as in ./secrets.yaml.`)];
}

/** The driver is that of the control server, and a control server of one's own alone has authorities of its own. */
export function controlServerFits({ file, unclear }: Sketch): Mistake[] {
  const { driver, loginServer, ca } = file.tailnet ?? {};
  if (unclear("tailnet", "loginServer")) return [];
  const mistakes = [];
  if (driver === "headscale" && loginServer === undefined)
    mistakes.push(
      mistake(["tailnet", "driver"], "is headscale, and there is no tailnet.loginServer: name its URL there."),
    );
  if (driver === "tailscale" && loginServer !== undefined)
    mistakes.push(
      mistake(
        ["tailnet", "driver"],
        "is tailscale beside a tailnet.loginServer: Tailscale's API makes keys for its own control server alone. Remove one.",
      ),
    );
  if (ca !== undefined && loginServer === undefined)
    mistakes.push(
      mistake(["tailnet", "ca"], "stands beside no tailnet.loginServer: Tailscale's own has a public certificate."),
    );
  return mistakes;
}
