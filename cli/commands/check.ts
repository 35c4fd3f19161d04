/** `check`: is the stack file right, without Pulumi and token? Or, with --live, do its sites answer as visitors meet them? */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { stackName as localStack } from "../../local/paths.ts";
import { checkStackFile, type Finding } from "../check/stack-file.ts";
import { findProject, stackFileName, stackFiles } from "../project.ts";
import { tint } from "../style.ts";
import { type ExitCode, note, print, printJson, Refusal, type World } from "../world.ts";

export interface CheckOptions {
  stack?: string;
  live?: boolean;
  json?: boolean;
}

export async function check(world: World, files: string[], options: CheckOptions): Promise<ExitCode> {
  if (!options.live) return checkFiles(world, files, options);
  if (files.length > 0)
    throw new Refusal("check: --live looks at a stack, not at files. Name it with --stack. Nothing was done.", {
      code: 2,
    });
  const { checkLive, openOutside, openStack, showFindings } = await onlyLive();
  const stack = await openStack(world, options.stack);
  return showFindings(world, await checkLive(stack, await openOutside(world, stack.name)), options.json);
}

/** Loaded when it is asked for: a commit hook needs none of it. */
async function onlyLive() {
  return {
    ...(await import("../check/live.ts")),
    ...(await import("../check/outside.ts")),
    ...(await import("../stack.ts")),
    ...(await import("./doctor.ts")),
  };
}

function checkFiles(world: World, named: string[], { stack = world.env.PULUMI_STACK, json }: CheckOptions): ExitCode {
  // What the local stack's names is made by `npm run local`.
  const all = stackFiles(world.dir).filter((name) => name !== localStack);
  const files = named.length > 0 ? named : (stack ? [stack] : all).map(stackFileName);
  if (files.length === 0)
    throw new Refusal(`check: there is no stack file in ${world.dir}. Write one: npx fly-pops init`);
  const findings = files.flatMap((file) => checkFile(world, file));
  if (json) printJson(world, findings);
  else for (const it of findings) print(world, lineOf(world, it));
  const errors = findings.filter(({ severity }) => severity === "error").length;
  if (!json && errors === 0) note(world, `${files.join(", ")}: no mistake`);
  return errors > 0 ? 3 : 0;
}

function checkFile(world: World, file: string): Finding[] {
  const path = resolve(world.dir, file);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Refusal(
      code === "ENOENT"
        ? `check: there is no ${file} (looked at ${path}). Stacks with a file: ${stackFiles(world.dir).join(", ") || "none"}.`
        : `check: ${file} cannot be read (${code}).`,
      { cause: error },
    );
  }
  return checkStackFile(file, text, findProject(dirname(path)) ?? world.dir);
}

/** As compilers write it: editors jump there. */
const lineOf = (world: World, { file, line, column, severity, message }: Finding): string =>
  `${file}:${line}:${column}: ${tint(world, severity === "error" ? "bad" : "warning", severity)}: ${message}`;
