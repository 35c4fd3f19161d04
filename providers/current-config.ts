/**
 * The current configuration of the stack. In `up` the engine passes it to the dynamic host. `refresh` and `destroy` run no program, and the engine passes
 * the configuration of the last `up` from state, with a token that may have been revoked since. So without a program it is read with the Pulumi CLI,
 * which can decrypt it.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import type { ConfigLookup } from "../lib/config-lookup.ts";
import { stackFilePath } from "../lib/stack-file-path.ts";

let programRan = false;
let stack: string | undefined;
let stackConfig: Promise<ConfigLookup | undefined> | undefined;

/** Notes that a program runs, so that the engine passes the current configuration. */
export const noteProgram = (): void => {
  programRan = true;
};

/** Notes the stack of a URN: urn:pulumi:STACK::PROJECT::TYPE::NAME. */
export const noteUrn = (urn: string): void => {
  stack ??= /^urn:pulumi:([^:]+)::/.exec(urn)?.[1];
};

/** The current configuration. Returns that of the engine if a program runs or the stack file cannot be read. */
export async function currentConfig(fromEngine: ConfigLookup): Promise<ConfigLookup> {
  if (programRan || stack === undefined) return fromEngine;
  stackConfig ??= readConfig(process.cwd(), stack);
  return (await stackConfig) ?? fromEngine;
}

/** Matches a stack file with a setting of these providers. */
const ownNamespaces = /^\s*["']?(?:fly|tailscale|headscale):\w/m;
const timeoutMs = 30_000;

/** The values of the stack file in a project's directory. undefined: there is no such file, or it cannot be decrypted here. */
async function readConfig(dir: string, name: string): Promise<ConfigLookup | undefined> {
  try {
    // Most stacks have their credentials in the environment: then there is nothing to read.
    if (!ownNamespaces.test(readFileSync(stackFilePath(dir, name, process.env), "utf8"))) return () => undefined;
  } catch {
    return undefined;
  }
  const args = ["config", "--show-secrets", "--json", "--non-interactive", "--stack", name];
  const text = await new Promise<string | undefined>((resolve) => {
    execFile("pulumi", args, { cwd: dir, timeout: timeoutMs, maxBuffer: 2 ** 26 }, (error, stdout) =>
      resolve(error ? undefined : stdout),
    );
  });
  return text === undefined ? undefined : lookupIn(text);
}

/** Parses the output of `pulumi config --json`. */
function lookupIn(text: string): ConfigLookup | undefined {
  try {
    const values = JSON.parse(text) as Record<string, { value?: string }>;
    return (key) => values[key]?.value || undefined;
  } catch {
    return undefined;
  }
}
