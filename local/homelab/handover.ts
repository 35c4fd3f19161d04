/** What the stack must know of the homelab, brought over from its container: authorities, addresses, credentials. Plain only where a program reads it so. */
import type Docker from "dockerode";
import { keepWritten, readIfThere, writeWhole } from "../../lib/files.ts";
import { createSops } from "../../sops/cli.ts";
import { containersOf, labels } from "../docker/engine.ts";
import { paths } from "../paths.ts";
import { ask, type Homelab, role } from "./homelab.ts";

const { home } = paths;

/** Writes the files of `paths.home`; those that are as they should be stay untouched. */
export async function takeOver(docker: Docker, { id, headscaleUrl }: Homelab): Promise<void> {
  const container = docker.getContainer(id);
  const read = (path: string) => ask(container, ["cat", path]);
  const known = readIfThere(home.operatorKey);
  // Each is a program in the container: all at once they take no longer than one.
  const [ca, headscaleKey, vaultRoleId, vaultSecretId, operatorKey] = await Promise.all([
    read("/data/ca/ca.pem"),
    read("/data/keys/headscale-api-key"),
    read("/data/keys/pop-role-id"),
    read("/data/keys/pop-secret-id"),
    known ?? ask(container, ["age-keygen"]),
  ]);
  keepWritten(home.ca, ca);
  keepWritten(home.headscale, headscaleUrl);
  keepWritten(home.headscaleKey, headscaleKey, 0o600);
  keepWritten(home.operatorKey, operatorKey, 0o600);
  await keepSealed(operatorKey, { vaultRoleId, vaultSecretId });
}

/** PEM of the roots that its authority has had so far; undefined when it does not run. */
export async function homelabRoots(docker: Docker, stack: string): Promise<string | undefined> {
  const found = await containersOf(docker, stack, `${labels.role}=${role}`);
  const running = found.find(({ State }) => State === "running");
  // Until it is ready there is none.
  return running && ask(docker.getContainer(running.Id), ["cat", "/data/pebble-roots.pem"]).catch(() => undefined);
}

/** The stack's file of secrets, as an operator makes it: by sops, through a pipe, to a key of one's own. */
async function keepSealed(operatorKey: string, secrets: Record<string, string>): Promise<void> {
  const sops = createSops({ env: { ...process.env, SOPS_AGE_KEY_FILE: home.operatorKey } });
  const sealed = readIfThere(home.secrets);
  // Encrypting it again would give another file, and every PoP would be updated.
  if (sealed !== undefined) {
    const opened = await sops.decrypt(sealed, home.secrets).catch(() => undefined);
    if (JSON.stringify(opened) === JSON.stringify(secrets)) return;
  }
  const recipient = /age1[a-z0-9]+/.exec(operatorKey)?.[0];
  if (recipient === undefined) throw new Error(`${home.operatorKey} is not an age key. Remove it, then run again.`);
  writeWhole(home.secrets, await sops.encrypt(secrets, recipient));
}
