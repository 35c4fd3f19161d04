import { execFile } from "node:child_process";
import { createReadStream, createWriteStream, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { createGzip } from "node:zlib";
import { docker } from "./pop.ts";

const run = promisify(execFile);

/** Digests of an image's layers, lowest first. */
export const layersOf = async (id: string): Promise<string[]> =>
  (await docker.getImage(id).inspect()).RootFS.Layers ?? [];

export interface Entry {
  /** Without a leading slash; directories have a trailing one. */
  path: string;
  isDir: boolean;
}

const listed = new Map<string, Promise<Entry[][]>>();

/** The content of each layer, lowest first. Each image is exported only once: its ID identifies its content. */
export function paths(id: string): Promise<Entry[][]> {
  const found = listed.get(id) ?? withLayers(id, entriesOf);
  listed.set(id, found);
  return found;
}

async function entriesOf(dir: string, layer: string): Promise<Entry[]> {
  const { stdout } = await run("tar", ["-tf", layer], { cwd: dir, maxBuffer: 1 << 24 });
  return stdout
    .trim()
    .split("\n")
    .map((path) => ({ path, isDir: path.endsWith("/") }));
}

/** Bytes of each layer as a registry gets it, lowest first. The engine's own gzip may differ by a few percent. */
export const blobBytes = (id: string): Promise<number[]> =>
  withLayers(id, async (dir, layer) => {
    let bytes = 0;
    await pipeline(createReadStream(join(dir, layer)), createGzip(), async (pieces) => {
      for await (const piece of pieces) bytes += piece.length;
    });
    return bytes;
  });

/** Files that are in more than one layer, or that a layer deletes. */
export function duplicates(layers: Entry[][]): string[] {
  const files = layers.flat().flatMap(({ path, isDir }) => (isDir ? [] : [path]));
  return files.filter((path, at) => files.indexOf(path) !== at || /(^|\/)\.wh\./.test(path));
}

/** Calls back for each layer of what `docker save` writes. */
async function withLayers<T>(id: string, ask: (dir: string, layer: string) => Promise<T>): Promise<T[]> {
  const dir = mkdtempSync(join(tmpdir(), "fly-pops-image-"));
  try {
    await pipeline(await docker.getImage(id).get(), createWriteStream(join(dir, "image.tar")));
    await run("tar", ["-xf", "image.tar"], { cwd: dir });
    const [{ Layers }] = JSON.parse(readFileSync(join(dir, "manifest.json"), "utf8")) as [{ Layers: string[] }];
    return await Promise.all(Layers.map((layer) => ask(dir, layer)));
  } finally {
    rmSync(dir, { recursive: true });
  }
}
