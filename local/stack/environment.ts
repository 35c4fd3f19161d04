/** What the CLI needs to work on the stack `local`: backend, passphrase, keys, and where local Fly, its registry and headscale are. */
import { readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { stackFileVariable } from "../../lib/stack-file-path.ts";
import { readDaemon } from "../daemon-file.ts";
import { derivedStackFile, paths, projectDir } from "../paths.ts";

/**
 * The passphrase of the local stack. A constant and no secret: its state holds only what this machine made for itself,
 * and Pulumi.local.yaml could not carry one salt for everybody otherwise.
 */
const passphrase = "local";

/**
 * URL of Pulumi's file backend in a directory, without the attribute files it would write beside each state file: they are written in place, and an
 * empty one, left by a CLI that was killed in that moment, makes every later one refuse the stack ("failed to load checkpoint: EOF"). The state file
 * itself is replaced by a rename. The parameter: https://pkg.go.dev/gocloud.dev/blob/fileblob#URLOpener
 */
export const fileBackend = (dir: string): string => `file://${dir}?metadata=skip`;

/**
 * The environment of this process plus what the local stack needs. Without a running local Fly its parts are absent: config and stack commands work all the
 * same. `command`: Pulumi's, when it is known. `config` is of the file that people write, as the next start writes the derived one again.
 */
export async function localEnvironment(command?: string): Promise<Record<string, string>> {
  const daemon = await readDaemon();
  const derived = command === "config" ? undefined : derivedStackFile();
  const [token, headscale, headscaleKey] = await Promise.all(
    [paths.token, paths.home.headscale, paths.home.headscaleKey].map((file) =>
      readFile(file, "utf8").catch(() => undefined),
    ),
  );
  return {
    ...(process.env as Record<string, string>),
    // Script, language host and program take `node` from PATH.
    PATH: `${join(projectDir, "node_modules", ".bin")}${delimiter}${process.env.PATH ?? ""}`,
    PULUMI_BACKEND_URL: fileBackend(paths.backend),
    PULUMI_CONFIG_PASSPHRASE: passphrase,
    PULUMI_SKIP_UPDATE_CHECK: "true",
    ...(derived ? { [stackFileVariable]: derived } : {}),
    SOPS_AGE_KEY_FILE: paths.home.operatorKey,
    ...(headscale && headscaleKey ? { HEADSCALE_ENDPOINT: headscale, HEADSCALE_API_KEY: headscaleKey } : {}),
    ...(token ? { FLY_API_TOKEN: token.trim() } : {}),
    ...(daemon ? { FLY_API_HOSTNAME: daemon.api, FLY_REGISTRY_HOST: daemon.registry } : {}),
  };
}
