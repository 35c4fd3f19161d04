/** `new`: a project of one's own from this one, in a folder of its own: what git tracks, and a stack file. */
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
import { type Answers, gather } from "../questions.ts";
import { stackFileName } from "../stack-file.ts";
import { type ExitCode, note, Refusal, type World } from "../world.ts";
import { nextSteps, writeStackFile } from "./init.ts";

export interface NewOptions extends Partial<Answers> {
  /** False: packages and tools are left to the reader. */
  setup?: boolean;
}

export async function newProject(
  world: World,
  folder: string,
  { setup = true, ...given }: NewOptions,
): Promise<ExitCode> {
  const target = resolve(world.dir, folder);
  refuseFolder(folder, target);
  const files = tracked(world.dir).filter((path) => isShared(world.dir, path));
  const taken = files.flatMap((path) => /^Pulumi\.(.+)\.yaml$/.exec(path)?.[1] ?? []);
  const answers = await gather(world, { given, taken, offered: "edge", command: "new" });
  for (const path of files) copy(join(world.dir, path), join(target, path));
  writeStackFile(target, answers);
  note(world, `${folder} is made, with ${stackFileName(answers.stack)} in it.`);
  const rest = `  cd ${folder}`;
  if (!setup) {
    note(world, `Its packages and tools are still to be brought:\n${rest}\n  npm run setup\n${nextSteps(answers)}`);
    return 0;
  }
  const code = await bring(world, target);
  if (code !== 0)
    throw new Refusal(
      `new: ${folder} is made, and npm run setup in it ended with code ${code}, its reasons stand above. Run it again there: cd ${folder} && npm run setup`,
    );
  note(world, `Its packages and tools are there.\n${rest}\n${nextSteps(answers)}`);
  return 0;
}

function refuseFolder(folder: string, target: string): void {
  const found = lstatSync(target, { throwIfNoEntry: false });
  if (found && !found.isDirectory()) throw new Refusal(`new: ${folder} is a file. Nothing was written.`);
  if (found && readdirSync(target).length > 0)
    throw new Refusal(`new: ${folder} is not empty. Nothing was written. Name a folder that is not there yet.`);
}

/** Paths relative to the project. */
function tracked(dir: string): string[] {
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
    throw new Refusal(
      "new: what belongs to the project is told by git, and this folder is no clone. Nothing was written.",
      {
        cause: error,
      },
    );
  }
}

/** A stack that is deployed from here stays here: a second one of the same app would share it. The examples are for everybody. */
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

/** npm packages, then the CLI and its plugins. What they say goes to the terminal. */
function bring(world: World, cwd: string): Promise<number> {
  return new Promise((done, failed) => {
    const child = spawn("npm", ["run", "setup", "--", "--only", "npm,pulumi"], {
      cwd,
      env: world.env as NodeJS.ProcessEnv,
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => world.err(text));
    child.once("error", (error) =>
      failed(new Refusal(`new: npm could not be started (${error.message}). Run in the new folder: npm run setup`)),
    );
    child.once("close", (code) => done(code ?? 1));
  });
}
