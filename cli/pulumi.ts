/** Runs the Pulumi CLI and returns its output, or shows it on this terminal. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import manifest from "../package.json" with { type: "json" };
import { pulumiHome } from "../setup/pulumi-home.mjs";
import { type CliContext, CliError } from "./context.ts";

type Env = Readonly<Record<string, string | undefined>>;

export interface CommandResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** The CLI that setup installed, else the one on PATH. */
export function pulumiPath(env: Env): string {
  const own = join(pulumiHome(env), "versions", manifest.dependencies.pulumi, "bin", "pulumi");
  return existsSync(own) ? own : "pulumi";
}

/** Runs the CLI until it exits. `shown`: its output is also shown on the terminal. */
export function runPulumi(
  context: CliContext,
  args: string[],
  { env = context.env, shown = false }: { env?: Env; shown?: boolean } = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(pulumiPath(env), ["--non-interactive", ...args], {
      cwd: context.dir,
      env: { PULUMI_SKIP_UPDATE_CHECK: "true", ...env } as NodeJS.ProcessEnv,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const ran = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const)
      child[name].setEncoding("utf8").on("data", (text: string) => {
        ran[name] += text;
        if (shown) context.err(text);
      });
    child.once("error", (error) =>
      reject(
        new CliError(`The Pulumi CLI could not be started (${error.message}). Run: npm run setup -- --only pulumi`),
      ),
    );
    child.once("close", (code) => resolve({ code: code ?? 1, ...ran }));
  });
}

/** The CLI's output, or an error with its reason. `doing` is the beginning of the message, `end` its end. */
export async function pulumiOutput(
  context: CliContext,
  doing: string,
  args: string[],
  env?: Env,
  end = " Nothing was changed.",
): Promise<string> {
  const { code, stdout, stderr } = await runPulumi(context, args, env ? { env } : {});
  if (code === 0) return stdout;
  throw new CliError(`${doing}: ${pulumiErrorText(stderr)}.${end}`);
}

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
