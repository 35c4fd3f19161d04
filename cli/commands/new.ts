/** `new`: copies this project into a new directory: the files that git tracks, and a stack file. */
import { execFileSync, spawn } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { stackFileName } from "../../lib/stack-file-path.ts";
import { type CliContext, CliError, type ExitCode, note } from "../context.ts";
import { type Answers, gatherAnswers } from "../questions.ts";
import { nextSteps, writeStackFile } from "./init.ts";

export interface NewOptions extends Partial<Answers> {
  /** False: packages and tools are not installed. */
  setup?: boolean;
}

export async function newProject(
  context: CliContext,
  dir: string,
  { setup = true, ...given }: NewOptions,
): Promise<ExitCode> {
  const target = resolve(context.dir, dir);
  assertEmptyDir(dir, target);
  const files = trackedFiles(context.dir).filter((path) => isShared(context.dir, path));
  const taken = files.flatMap((path) => /^Pulumi\.(.+)\.yaml$/.exec(path)?.[1] ?? []);
  const answers = await gatherAnswers(context, { given, taken, offered: "edge", command: "new" });
  for (const path of files) copy(join(context.dir, path), join(target, path));
  writeStackFile(target, answers);
  note(context, `${dir} was created, with ${stackFileName(answers.stack)} in it.`);
  const rest = `  cd ${dir}`;
  if (!setup) {
    note(context, `Install its packages and tools:\n${rest}\n  npm run setup\n${nextSteps(answers)}`);
    return 0;
  }
  const code = await runSetup(context, target);
  if (code !== 0)
    throw new CliError(
      `new: ${dir} was created, but npm run setup failed there with code ${code}, see the output above. Run it again: cd ${dir} && npm run setup`,
    );
  note(context, `Its packages and tools are installed.\n${rest}\n${nextSteps(answers)}`);
  return 0;
}

function assertEmptyDir(dir: string, target: string): void {
  const found = lstatSync(target, { throwIfNoEntry: false });
  if (found && !found.isDirectory()) throw new CliError(`new: ${dir} is a file. Nothing was written.`);
  if (found && readdirSync(target).length > 0)
    throw new CliError(`new: ${dir} is not empty. Nothing was written. Choose a directory that does not exist yet.`);
}

/** Paths relative to the project. */
function trackedFiles(dir: string): string[] {
  try {
    const listed = execFileSync("git", ["ls-files", "-z"], {
      cwd: dir,
      stdio: ["ignore", "pipe", "ignore"],
      maxBuffer: 64 << 20,
    });
    return listed
      .toString()
      .split("\0")
      .filter((path) => path !== "" && existsSync(join(dir, path)));
  } catch (error) {
    throw new CliError(
      "new: this directory is not a git clone, so the files of the project are unknown. Nothing was written.",
      {
        cause: error,
      },
    );
  }
}

/** Files of stacks deployed from here are not copied, because a second stack of the same app would conflict. The examples are copied. */
function isShared(dir: string, path: string): boolean {
  if (!/^Pulumi\..+\.yaml$/.test(path) || path === "Pulumi.local.yaml") return true;
  return (
    path === "Pulumi.prod.yaml" &&
    !/^(encryptionsalt|secretsprovider|encryptedkey):/m.test(readFileSync(join(dir, path), "utf8"))
  );
}

function copy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  if (lstatSync(from).isSymbolicLink()) symlinkSync(readlinkSync(from), to);
  else copyFileSync(from, to);
}

/** Installs npm packages, then the Pulumi CLI and its plugins, with their output on the terminal. */
function runSetup(context: CliContext, cwd: string): Promise<number> {
  return new Promise((done, failed) => {
    const child = spawn("npm", ["run", "setup", "--", "--only", "npm,pulumi"], {
      cwd,
      env: context.env as NodeJS.ProcessEnv,
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => context.err(text));
    child.once("error", (error) =>
      failed(new CliError(`new: npm could not be started (${error.message}). Run in the new directory: npm run setup`)),
    );
    child.once("close", (code) => done(code ?? 1));
  });
}
