import type { ImageSpec } from "../spec.ts";
import { isLuggageName, isSecretKey } from "./names.ts";
import { luggageUser } from "./users.ts";

/** Where the machine finds the user's sops file, encrypted to its own identity. It is no part of the image. */
export const sealedFile = "/etc/pop/sealed.yaml";

/** Where `pop-secrets` puts what was in it: memory, new at each boot. */
export const secretsFolder = "/run/secrets";

interface Secret {
  /** Its file, below `secretsFolder`. */
  name: string;
  /** Its key in the user's sops file. */
  key: string;
  /** Who may read it. */
  owner: string;
}

type Told = Pick<ImageSpec, "luggage" | "tailnet" | "certificates">;

/** What the image needs of the user's secrets, sorted by name. */
export function secrets({ luggage, tailnet, certificates }: Told): Secret[] {
  const own = (key: string, owner: string): Secret => ({ name: key, key, owner });
  return [
    ...(tailnet ? [own("tailscaleAuthKey", "root")] : []),
    ...(certificates ? [own("vaultRoleId", "certs"), own("vaultSecretId", "certs")] : []),
    ...Object.entries(luggage).flatMap(([name, { secrets: keys = [] }]) => keys.map((key) => carried(name, key))),
  ].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function carried(luggage: string, key: string): Secret {
  if (!isLuggageName(luggage) || !isSecretKey(key))
    throw new Error(`luggage.${luggage}.secrets: ${JSON.stringify(key)} is not the name of a secret.`);
  return { name: `${luggage}/${key}`, key, owner: luggageUser(luggage) };
}

/**
 * /etc/pop/secrets.json, the manifest of `pop-secrets`: a subset of sops-install-secrets'.
 * https://github.com/Mic92/sops-nix/blob/master/pkgs/sops-install-secrets/main.go
 */
export function secretsManifest(spec: Told): string {
  const all = secrets(spec).map(({ name, key, owner }) => ({
    name,
    key,
    sopsFile: sealedFile,
    format: "yaml",
    mode: "0400",
    owner,
    group: owner,
  }));
  return `${JSON.stringify({ secrets: all }, null, 2)}\n`;
}
