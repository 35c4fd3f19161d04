import { homedir } from "node:os";
import { join } from "node:path";

/**
 * Folder of the Pulumi CLI that setup brought, its plugins and the sops beside it: PULUMI_HOME, else ~/.pulumi. A CLI that we start is told of it: by itself
 * it takes the home that /etc/passwd names, which in many a CI job is not $HOME. https://www.pulumi.com/docs/iac/cli/environment-variables/
 */
export const pulumiHome = (env: Readonly<Record<string, string | undefined>> = process.env): string =>
  env.PULUMI_HOME || join(env.HOME || homedir(), ".pulumi");
