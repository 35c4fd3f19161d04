/** What the stack must know of the homelab, brought over from its container: authorities, addresses, credentials. Plain only where a program reads it so. */
import { readFile } from "node:fs/promises";
import type Docker from "dockerode";
import { createSops } from "../../providers/sops/cli.ts";
import { containersOf, labels } from "../docker-engine.ts";
import { writeWhole } from "../files.ts";
import { paths } from "../paths.ts";
import { ask, type Homelab, role } from "./homelab.ts";

const { home } = paths;

/** Writes the files of `paths.home`; those that are as they should be stay untouched. */
export async function takeOver(docker: Docker, { id, headscaleUrl }: Homelab): Promise<void> {
  const container = docker.getContainer(id);
  const read = (path: string) => ask(container, ["cat", path]);
  await keep(home.ca, await read("/data/ca/ca.pem"));
  await keep(home.siteRoots, await siteRoots(container));
  await keep(home.headscale, headscaleUrl);
  await keep(home.headscaleKey, await read("/data/keys/headscale-api-key"), 0o600);
  const operatorKey = (await ifThere(home.operatorKey)) ?? (await ask(container, ["age-keygen"]));
  await keep(home.operatorKey, operatorKey, 0o600);
  await keepSealed(operatorKey, {
    vaultRoleId: await read("/data/keys/pop-role-id"),
    vaultSecretId: await read("/data/keys/pop-secret-id"),
  });
}

/**
 * Brings the file of the sites' roots up to date with a homelab that runs: its authority forgets its key whenever it is started anew. The roots before
 * stay in it, for their certificates may still be in use.
 */
export async function refreshSiteRoots(docker: Docker, stack: string): Promise<void> {
  const found = await containersOf(docker, stack, `${labels.role}=${role}`);
  const running = found.find(({ State }) => State === "running");
  if (running) await keep(home.siteRoots, await siteRoots(docker.getContainer(running.Id)));
}

const siteRoots = (container: Docker.Container): Promise<string> => ask(container, ["cat", "/data/pebble-roots.pem"]);

/** The stack's file of secrets, as an operator makes it: by sops, through a pipe, to a key of one's own. */
async function keepSealed(operatorKey: string, secrets: Record<string, string>): Promise<void> {
  const sops = createSops({ env: { ...process.env, SOPS_AGE_KEY_FILE: home.operatorKey } });
  const sealed = await ifThere(home.secrets);
  // Encrypted anew it would be another file, and every PoP would be given it.
  if (sealed !== undefined) {
    const opened = await sops.decrypt(sealed, home.secrets).catch(() => undefined);
    if (JSON.stringify(opened) === JSON.stringify(secrets)) return;
  }
  const recipient = /age1[a-z0-9]+/.exec(operatorKey)?.[0];
  if (recipient === undefined) throw new Error(`${home.operatorKey} is no key of age. Remove it, then run again.`);
  writeWhole(home.secrets, await sops.encrypt(secrets, recipient));
}

const ifThere = (path: string): Promise<string | undefined> => readFile(path, "utf8").catch(() => undefined);

async function keep(path: string, text: string, mode = 0o644): Promise<void> {
  if ((await ifThere(path)) !== text) writeWhole(path, text, mode);
}
