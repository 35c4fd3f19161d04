/** `check`: validates the stack file without Pulumi and token or, with --live, checks the sites as visitors see them. */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { relativeStackFile, stackFileName } from "../../lib/stack-file-path.ts";
import { stackName as localStack } from "../../local/paths.ts";
import { findProject, stackFiles } from "../../stack/project.ts";
import { checkStackFile, type Finding } from "../check/stack-file.ts";
import { type CliContext, CliError, type ExitCode, note, print, printJson } from "../context.ts";
import { styled } from "../style.ts";

export interface CheckOptions {
  stack?: string;
  live?: boolean;
  json?: boolean;
}

export async function check(context: CliContext, files: string[], options: CheckOptions): Promise<ExitCode> {
  if (!options.live) return checkFiles(context, files, options);
  if (files.length > 0)
    throw new CliError("check: --live checks a stack, not files. Pass --stack. Nothing was done.", {
      code: 2,
    });
  const { checkLive, createProber, openStack, showFindings } = await loadLiveCheck();
  const stack = await openStack(context, options.stack);
  return showFindings(context, await checkLive(stack, await createProber(context, stack.name)), options.json);
}

/** Loaded on demand, because commit hooks do not need it. */
async function loadLiveCheck() {
  return {
    ...(await import("../check/live.ts")),
    ...(await import("../check/prober.ts")),
    ...(await import("../stack.ts")),
    ...(await import("./doctor.ts")),
  };
}

function checkFiles(
  context: CliContext,
  named: string[],
  { stack = context.env.PULUMI_STACK, json }: CheckOptions,
): ExitCode {
  // Files that the local stack refers to are created by `npm run local`.
  const all = stackFiles(context.dir).filter((name) => name !== localStack);
  const own = stack ? [relativeStackFile(context.dir, stack, context.env)] : all.map(stackFileName);
  const files = named.length > 0 ? named : own;
  if (files.length === 0)
    throw new CliError(`check: there is no stack file in ${context.dir}. Create one: npx fly-pops init`);
  const findings = files.flatMap((file) => checkFile(context, file));
  if (json) printJson(context, findings);
  else for (const it of findings) print(context, lineOf(context, it));
  const errors = findings.filter(({ severity }) => severity === "error").length;
  if (!json && errors === 0) note(context, `${files.join(", ")}: no errors`);
  return errors > 0 ? 3 : 0;
}

function checkFile(context: CliContext, file: string): Finding[] {
  const path = resolve(context.dir, file);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError(
      code === "ENOENT"
        ? `check: there is no ${file} (tried ${path}). Stacks with a file: ${stackFiles(context.dir).join(", ") || "none"}.`
        : `check: ${file} cannot be read (${code}).`,
      { cause: error },
    );
  }
  return checkStackFile(file, text, findProject(dirname(path)) ?? context.dir);
}

/** In the format of compilers, which editors understand. */
const lineOf = (context: CliContext, { file, line, column, severity, message }: Finding): string =>
  `${file}:${line}:${column}: ${styled(context, severity === "error" ? "bad" : "warning", severity)}: ${message}`;
