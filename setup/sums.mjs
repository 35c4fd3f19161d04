/**
 * What a download must be: its SHA-256, pinned in sums.json by the file's name. npm's packages have theirs in package-lock.json, Go's modules in go.sum,
 * Debian's packages are signed.
 */

import { createHash } from "node:crypto";
import { createReadStream, readFileSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { download } from "./download.mjs";
import { Failure } from "./failure.mjs";
import { root } from "./paths.mjs";

const pinned = JSON.parse(readFileSync(join(root, "setup", "sums.json"), "utf8"));

/** The pinned sum of a file, undefined where there is none. */
export const pinnedSum = (name) => pinned[name];

/** The sum of a file in a list as `sha256sum` prints it; undefined when it is not there. */
export function sumIn(list, name) {
  const line = list.split("\n").find((it) => it.trim().split(/\s+[*]?/)[1] === name);
  const sum = line?.trim().split(/\s+/)[0];
  return /^[0-9a-f]{64}$/.test(sum ?? "") ? sum : undefined;
}

/**
 * The sum of a file by its vendor's own list, which is to come from another host than the file.
 * @throws when the list cannot be had or does not name it
 */
export async function sumFromList(url, name, file, limits) {
  await download(url, file, limits);
  const sum = sumIn(readFileSync(file, "utf8"), name);
  if (sum === undefined) throw new Error(`${url} has no sum of ${name}`);
  return sum;
}

/** What came is not what was published. Nothing goes on after that: an attack looks the same as a broken proxy. */
export class Mismatch extends Failure {}

/** @throws Mismatch */
export async function verify(file, name, sum) {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  const found = hash.digest("hex");
  if (found === sum) return;
  throw new Mismatch(
    name,
    `what was downloaded has SHA-256 ${found}, published is ${sum}; it was thrown away and nothing was run`,
    "Run again. If it stays so, something between here and the vendor changes downloads: do not go on from this network.",
  );
}
