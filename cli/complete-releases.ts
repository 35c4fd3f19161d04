/**
 * Numbers of releases for completion. Only the Pulumi CLI knows them and needs a second, so they come from a file that a background process refreshes every
 * few minutes. The first TAB after a while may show none, or outdated ones.
 */
import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { projectDir } from "../local/paths.ts";
import type { CliContext } from "./context.ts";

const maxAgeMs = 5 * 60_000;
/** How long a background process may take to write. */
const writingMs = 30_000;

export function releaseNames(context: CliContext, stack: string): string[] {
  const cacheDir = join(projectDir, ".cache", "completion");
  const file = join(cacheDir, `${`${context.dir} ${stack}`.replaceAll(/[^\w.-]/g, "_")}.json`);
  const pendingFile = `${file}.new`;
  if (numbersIn(pendingFile)) renameSync(pendingFile, file);
  if (ageOf(context, file) > maxAgeMs && ageOf(context, pendingFile) > writingMs) {
    mkdirSync(cacheDir, { recursive: true, mode: 0o700 });
    startWriting(context, stack, pendingFile);
  }
  return numbersIn(file) ?? [];
}

function ageOf(context: CliContext, file: string): number {
  try {
    return context.clock.now() - statSync(file).mtimeMs;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** Undefined: the file does not exist or is incomplete. */
function numbersIn(file: string): string[] | undefined {
  try {
    const found = JSON.parse(readFileSync(file, "utf8")) as { number: number }[];
    return found.map(({ number }) => String(number));
  } catch {
    return undefined;
  }
}

/** Starts the background process without waiting for it. */
function startWriting(context: CliContext, stack: string, file: string): void {
  const out = openSync(file, "w", 0o600);
  spawn(process.execPath, [join(projectDir, "cli", "main.ts"), "releases", "--stack", stack, "--json"], {
    cwd: context.dir,
    env: context.env as NodeJS.ProcessEnv,
    stdio: ["ignore", out, "ignore"],
    detached: true,
  })
    .on("error", () => undefined)
    .unref();
  closeSync(out);
}
