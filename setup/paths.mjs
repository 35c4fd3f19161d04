/** Where things are, and the versions setup brings: read from package.json, so that an upgrade has one place. */

import { readFileSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's folder. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Everything setup makes for itself lies here; git ignores it. */
export const cache = join(root, ".cache");
/** Where the Pulumi CLI lives: PULUMI_HOME, else ~/.pulumi by $HOME, as the npm package `pulumi` looks for it. */
export const pulumiHome = process.env.PULUMI_HOME || join(homedir(), ".pulumi");

const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
/** Version of the CLI: that of the npm package `pulumi`, which looks for it in PULUMI_HOME. */
export const pulumiVersion = dependencies.pulumi;
/** Version of the docker plugin: that of @pulumi/docker. */
export const dockerPluginVersion = dependencies["@pulumi/docker"];

/** The folder of the CLI and what belongs beside it. */
export const pulumiBin = join(pulumiHome, "versions", pulumiVersion, "bin");
/** The folder the engine finds the docker plugin in. */
export const dockerPlugin = join(workspace(), "plugins", `resource-docker-v${dockerPluginVersion}`);

/** Where the CLI itself looks for plugins: PULUMI_HOME, else below the home that /etc/passwd names. In container jobs that is not $HOME. */
function workspace() {
  if (process.env.PULUMI_HOME) return process.env.PULUMI_HOME;
  try {
    return join(userInfo().homedir, ".pulumi");
  } catch {
    return pulumiHome; // a user without an entry
  }
}
