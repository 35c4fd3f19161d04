/** Where Pulumi's things are: here alone, for setup that puts them there and for all that looks for them. */

import { homedir, userInfo } from "node:os";
import { join } from "node:path";

/**
 * Directory of the Pulumi CLI that setup brings, and of the sops beside it: PULUMI_HOME, else ~/.pulumi by $HOME, as the npm package `pulumi` looks for it.
 * @param {Readonly<Record<string, string | undefined>>} env
 */
export const pulumiHome = (env = process.env) => env.PULUMI_HOME || join(env.HOME || homedir(), ".pulumi");

/**
 * Directory the CLI itself works in, with its plugins, logins and selected stacks: PULUMI_HOME, else below the home that /etc/passwd names, whatever $HOME
 * says. In container jobs the two differ. https://pkg.go.dev/os/user#Current
 * @param {Readonly<Record<string, string | undefined>>} env
 */
export function pulumiWorkspace(env = process.env) {
  if (env.PULUMI_HOME) return env.PULUMI_HOME;
  try {
    return join(userInfo().homedir, ".pulumi");
  } catch {
    return pulumiHome(env); // a user without an entry
  }
}
