/**
 * The public suite of HTTP caches, https://cache-tests.fyi, as npm has it. Fetched when it is needed: its dependencies are stale, and none of them is used
 * here.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { access, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { createGunzip } from "node:zlib";
import { extract } from "tar-stream";

const name = "http-cache-tests";
export const version = "0.4.5";
const integrity = "sha512-DjuwN9nUZXLTW+wav1LRESCZNVxl8SshwOy4z1pxuWbWt5/ay6sM9QQ1lebBaDO6P1IMBoK6mdf+PuVP/QNL8A==";

/** What its client and its server need of it. `asset` is there for the function that judges results. */
const wanted = /^package\/(?:LICENSE|asset\/[^/]+\.m?js|(?:client|lib|server|tests)\/[^/]+\.mjs)$/;

const dir = resolve(import.meta.dirname, "../../../.cache/cache-suite");

/** The directory of the suite, fetched by npm the first time. Throws if the registry has another package than the pinned one. */
export async function suiteDir(): Promise<string> {
  const unpacked = join(dir, version);
  const there = await access(unpacked).then(
    () => true,
    () => false,
  );
  if (there) return unpacked;
  await mkdir(dir, { recursive: true });
  const draft = await mkdtemp(join(dir, "draft-"));
  try {
    await unpack(await pack(draft), join(draft, "unpacked"));
    await rename(join(draft, "unpacked"), unpacked);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return unpacked;
}

/** Fetches the package's archive; returns its path. Runs none of its scripts. */
async function pack(into: string): Promise<string> {
  const options = ["--json", "--ignore-scripts", "--loglevel=error", "--pack-destination", into];
  const { stdout } = await promisify(execFile)("npm", ["pack", `${name}@${version}`, ...options]);
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
  const archive = join(into, filename);
  checkIntegrity(await readFile(archive));
  return archive;
}

/** Throws when this is not the archive that is pinned here. */
export function checkIntegrity(archive: Buffer): void {
  const actual = `sha512-${createHash("sha512").update(archive).digest("base64")}`;
  if (actual === integrity) return;
  throw new Error(
    `${name}@${version}: the registry's archive has the integrity ${actual} instead of ${integrity}. Nothing was unpacked. Check which registry npm uses.`,
  );
}

async function unpack(archive: string, into: string): Promise<void> {
  const entries = extract();
  entries.on("entry", (header, stream, next) => {
    if (header.type !== "file" || !wanted.test(header.name)) {
      stream.resume();
      stream.once("end", next);
      return;
    }
    const path = join(into, header.name.slice("package/".length));
    mkdir(dirname(path), { recursive: true })
      .then(() => buffer(stream))
      .then((content) => writeFile(path, content))
      .then(() => next(), next);
  });
  await pipeline(createReadStream(archive), createGunzip(), entries);
}
