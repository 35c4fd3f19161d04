/**
 * The stack's configuration as its file has it now. `up` hands the dynamic host that; `refresh` and `destroy` run no program, and the engine hands over
 * what the *state* has of the provider: the configuration of the last `up`, and with it a token that may have been revoked since. So without a program the
 * CLI is asked, which alone can open what is encrypted.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import type { ConfigLookup } from "./settings.ts";

let programRan = false;
let stack: string | undefined;
let stackConfig: Promise<ConfigLookup | undefined> | undefined;

/** The engine checks inputs of a program: what it hands over is the stack's own configuration. */
export const noteProgram = (): void => {
  programRan = true;
};

/** Of the form urn:pulumi:STACK::PROJECT::TYPE::NAME. */
export const noteUrn = (urn: string): void => {
  stack ??= /^urn:pulumi:([^:]+)::/.exec(urn)?.[1];
};

/** What to go by in place of what was handed over: the same where a program ran, or where the file cannot be read. */
export async function currentConfig(fromEngine: ConfigLookup): Promise<ConfigLookup> {
  if (programRan || stack === undefined) return fromEngine;
  stackConfig ??= readConfig(process.cwd(), stack);
  return (await stackConfig) ?? fromEngine;
}

/** Namespaces of the providers' own settings. */
const ownNamespaces = /^\s*["']?(?:fly|tailscale|headscale):\w/m;
const timeoutMs = 30_000;

/** The values of Pulumi.<stack>.yaml in a folder. undefined: it has no such file, or nobody here can open what is encrypted in it. */
export async function readConfig(dir: string, name: string): Promise<ConfigLookup | undefined> {
  try {
    // Most have their credentials in the environment: nothing to be asked for.
    if (!ownNamespaces.test(readFileSync(`${dir}/Pulumi.${name}.yaml`, "utf8"))) return () => undefined;
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

/** What `pulumi config --json` prints. */
function lookupIn(text: string): ConfigLookup | undefined {
  try {
    const values = JSON.parse(text) as Record<string, { value?: string }>;
    return (key) => values[key]?.value || undefined;
  } catch {
    return undefined;
  }
}
