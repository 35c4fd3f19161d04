/** Where things are, and the versions setup brings: read from package.json, so that an upgrade has one place. */

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { pulumiHome, pulumiWorkspace } from "./pulumi-home.mjs";

/** The repository's directory. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** The directory of everything that setup makes for itself. git ignores it. */
export const cache = join(root, ".cache");

const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
/** Version of the CLI: that of the npm package `pulumi`, which looks for it in PULUMI_HOME. */
export const pulumiVersion = dependencies.pulumi;
/** Version of the docker plugin: that of @pulumi/docker. */
export const dockerPluginVersion = dependencies["@pulumi/docker"];

/** The directory of the CLI and what belongs beside it. */
export const pulumiBin = join(pulumiHome(), "versions", pulumiVersion, "bin");
/** The directory the engine finds the docker plugin in. */
export const dockerPlugin = join(pulumiWorkspace(), "plugins", `resource-docker-v${dockerPluginVersion}`);
