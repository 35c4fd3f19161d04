/** A commit of this repository checked out into a temporary directory. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** `base`: a directory, or anything git knows as a commit. */
export async function withBaseCheckout<T>(
  dir: string,
  base: string,
  work: (checkout: string) => Promise<T>,
): Promise<T> {
  if (existsSync(resolve(dir, base))) return work(resolve(dir, base));
  const parent = mkdtempSync(join(tmpdir(), "fly-pops-base-"));
  const checkout = join(parent, "checkout");
  const git = (...args: string[]) => execFileSync("git", args, { cwd: dir, stdio: ["ignore", "ignore", "pipe"] });
  try {
    git("worktree", "add", "--detach", checkout, base);
  } catch (error) {
    rmSync(parent, { recursive: true, force: true });
    throw new Error(`--base ${base} is neither a directory nor a commit of this repository.`, { cause: error });
  }
  try {
    // Both programs share this checkout's packages, so that there is one copy of the SDK.
    symlinkSync(resolve(dir, "node_modules"), join(checkout, "node_modules"));
    return await work(checkout);
  } finally {
    git("worktree", "remove", "--force", checkout);
    rmSync(parent, { recursive: true, force: true });
  }
}
