/**
 * What `down` leaves for the next start to be quick, and `down --all` removes: images and .cache, and what build-cache.ts finds. The images are shared by all
 * clones on this machine; what runs in another one keeps its own.
 */
import { lstatSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type Docker from "dockerode";
import { keepWritten, readIfThere } from "../../lib/files.ts";
import { paths, projectDir } from "../paths.ts";
import { labels, statusOf } from "./engine.ts";

/** Directory of all that setup and the local stack keep. */
const cacheDir = join(projectDir, ".cache");

/** An image as the engine lists it. */
export type ImageRow = Pick<Docker.ImageInfo, "Id" | "RepoTags" | "RepoDigests" | "Labels">;

/** Of these images those that were built here, or for one of these registries (host:port): PoPs' images have no label of ours. Pure. */
export const imagesOf = <Row extends ImageRow>(images: readonly Row[], registries: readonly string[]): Row[] =>
  images.filter(
    ({ RepoTags, RepoDigests, Labels }) =>
      Labels?.[labels.inputs] !== undefined ||
      [...(RepoTags ?? []), ...(RepoDigests ?? [])].some((name) => registries.some((it) => name.startsWith(`${it}/`))),
  );

/** The registries of this clone, host:port, of all its starts since the last `down --all`. */
export const knownRegistries = (): string[] => (readIfThere(paths.registries) ?? "").split("\n").filter(Boolean);

/** Before anything is pushed to it. */
export const rememberRegistry = (address: string): void =>
  keepWritten(paths.registries, `${[...new Set([...knownRegistries(), address])].join("\n")}\n`);

/** Removes images with all their names, but for those that containers use. Returns the bytes that were freed. */
export async function removeImages(docker: Docker, images: readonly ImageRow[]): Promise<number> {
  const before = await layersSize(docker);
  // By name: an image with several is removed with the last of them.
  for (const { Id, RepoTags } of images)
    for (const name of RepoTags?.some((tag) => tag !== "<none>:<none>") ? RepoTags : [Id])
      await docker
        .getImage(name)
        .remove()
        .catch((error: unknown) => {
          // Gone with another one, or in use.
          if (![404, 409].includes(statusOf(error) ?? 0)) throw error;
        });
  return Math.max(0, before - (await layersSize(docker)));
}

const layersSize = async (docker: Docker): Promise<number> =>
  ((await docker.df()) as { LayersSize?: number }).LayersSize ?? 0;

/** Removes .cache. Returns the bytes of its files. */
export async function removeCacheDir(): Promise<number> {
  const size = sizeOf(cacheDir);
  await rm(cacheDir, { recursive: true, force: true });
  return size;
}

/**
 * Bytes of a file, or of all files in a directory; 0 if it does not exist. Written by hand, because readdir's `recursive` follows links to directories, and
 * glob leaves out names with a dot.
 */
export function sizeOf(path: string): number {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory()) return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0);
  return stat?.isFile() ? stat.size : 0;
}

/** Bytes as people read them: 0 B, 512 kB, 22 MB, 3.4 GB. */
export function bytesInWords(bytes: number): string {
  const [unit, size] = (
    [
      ["GB", 1e9],
      ["MB", 1e6],
      ["kB", 1e3],
    ] as const
  ).find(([, size]) => bytes >= size) ?? ["B", 1];
  const amount = bytes / size;
  return `${unit === "GB" && amount < 10 ? amount.toFixed(1) : Math.round(amount)} ${unit}`;
}
