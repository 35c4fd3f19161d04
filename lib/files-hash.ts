import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** A short digest of these files, in hex: of their paths relative to `dir` and of their content, whatever their order. `more`: what else is to count. */
export async function filesHash(dir: string, files: readonly string[], more = ""): Promise<string> {
  const hash = createHash("sha256").update(`${more}\0`);
  for (const file of files.toSorted()) {
    const content = await readFile(join(dir, file));
    hash.update(`${file}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex").slice(0, 16);
}
