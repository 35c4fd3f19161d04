/**
 * Runs the Pulumi CLI that setup installed. Every program of the project starts it here, except the provider, which runs below the CLI and takes the one on
 * PATH (providers/current-config.ts).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import manifest from "../package.json" with { type: "json" };
import { pulumiHome } from "../setup/pulumi-home.mjs";

export type Env = Readonly<Record<string, string | undefined>>;

export interface CommandResult {
  code: number;
  stdout: string;
  stderr: string;
}

export interface PulumiOptions {
  /** Directory of Pulumi.yaml. */
  dir: string;
  env: Env;
}

/** The CLI could not be started. */
export class PulumiStartError extends Error {
  constructor(cause: Error) {
    super(`The Pulumi CLI could not be started (${cause.message}). Run: npm run setup -- --only pulumi`, { cause });
    this.name = "PulumiStartError";
  }
}

/** Directory where setup installs the CLI, of the version in package.json. */
export const pulumiRoot = (env: Env): string => join(pulumiHome(env), "versions", manifest.dependencies.pulumi);

/** The CLI that setup installed, else the one on PATH. */
export function pulumiPath(env: Env): string {
  const own = join(pulumiRoot(env), "bin", "pulumi");
  return existsSync(own) ? own : "pulumi";
}

const withoutUpdateCheck = (env: Env) => ({ PULUMI_SKIP_UPDATE_CHECK: "true", ...env }) as NodeJS.ProcessEnv;

/** Runs the CLI until it exits. `onOutput` gets each piece of its output as well. */
export function runPulumi(
  args: readonly string[],
  { dir, env, onOutput }: PulumiOptions & { onOutput?: (text: string) => void },
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(pulumiPath(env), ["--non-interactive", ...args], {
      cwd: dir,
      env: withoutUpdateCheck(env),
      stdio: ["ignore", "pipe", "pipe"],
    });
    const ran = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const)
      child[name].setEncoding("utf8").on("data", (text: string) => {
        ran[name] += text;
        onOutput?.(text);
      });
    child.once("error", (error) => reject(new PulumiStartError(error)));
    child.once("close", (code) => resolve({ code: code ?? 1, ...ran }));
  });
}

/** Starts the CLI on this terminal, where it may ask questions. */
export const startPulumi = (args: readonly string[], { dir, env }: PulumiOptions): ChildProcess =>
  spawn(pulumiPath(env), args, { cwd: dir, env: withoutUpdateCheck(env), stdio: "inherit" });

/** The CLI's message if no backend is configured. */
export const noBackendPattern = /PULUMI_ACCESS_TOKEN must be set for login/;

/** The CLI's last `error:` as one line. */
export function pulumiErrorText(stderr: string): string {
  if (noBackendPattern.test(stderr))
    return "no Pulumi backend is configured in this terminal: set PULUMI_BACKEND_URL as before, or run npx pulumi login";
  const errors = [...stderr.matchAll(/^error: (.+(?:\n\s+.+)*)/gm)].map(([, text]) => text ?? "");
  const text = errors.at(-1) ?? stderr.trim() ?? "";
  return text.replaceAll(/\s+/g, " ").replace(/[.;:]$/, "") || "the Pulumi CLI gave no reason";
}
