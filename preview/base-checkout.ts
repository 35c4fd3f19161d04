/** A commit of this repository as a folder beside the checkout, for as long as it is needed. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** `base`: a folder, or anything git knows as a commit. */
export async function withBaseCheckout<T>(dir: string, base: string, work: (folder: string) => Promise<T>): Promise<T> {
  if (existsSync(resolve(dir, base))) return work(resolve(dir, base));
  const parent = mkdtempSync(join(tmpdir(), "fly-pops-base-"));
  const folder = join(parent, "checkout");
  const git = (...args: string[]) => execFileSync("git", args, { cwd: dir, stdio: ["ignore", "ignore", "pipe"] });
  try {
    git("worktree", "add", "--detach", folder, base);
  } catch (error) {
    rmSync(parent, { recursive: true, force: true });
    throw new Error(`--base ${base} is neither a directory nor a commit of this repository.`, { cause: error });
  }
  try {
    // The packages of this checkout: one copy of the SDK for both programs.
    symlinkSync(resolve(dir, "node_modules"), join(folder, "node_modules"));
    return await work(folder);
  } finally {
    git("worktree", "remove", "--force", folder);
    rmSync(parent, { recursive: true, force: true });
  }
}
