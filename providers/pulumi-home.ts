import { homedir, userInfo } from "node:os";
import { join } from "node:path";

type Env = Readonly<Record<string, string | undefined>>;

/** Folder of the Pulumi CLI that setup brought, and of the sops beside it: PULUMI_HOME, else ~/.pulumi by $HOME, as the npm package `pulumi` looks for it. */
export const pulumiHome = (env: Env = process.env): string => env.PULUMI_HOME || join(env.HOME || homedir(), ".pulumi");

/**
 * Folder the CLI itself works in, with its plugins, logins and selected stacks: PULUMI_HOME, else below the home that /etc/passwd names, whatever $HOME says.
 * In container jobs the two differ. https://pkg.go.dev/os/user#Current
 */
export function pulumiWorkspace(env: Env = process.env): string {
  if (env.PULUMI_HOME) return env.PULUMI_HOME;
  try {
    return join(userInfo().homedir, ".pulumi");
  } catch {
    return pulumiHome(env); // a user without an entry
  }
}
