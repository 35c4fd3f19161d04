/** Puts a machine's files into a container that was created and not started. Below a volume's path they land on the volume. */
import { posix } from "node:path";
import type { Readable } from "node:stream";
import type Docker from "dockerode";
import { pack } from "tar-stream";
import { orMissing } from "../../../docker/engine.ts";
import type { Instance } from "../../core/runner.ts";

/** Owner root, permission bits as given; missing folders are made with 0755, those that are there keep owner and mode. */
export async function putFiles(container: Docker.Container, files: Instance["files"]): Promise<void> {
  if (files.length === 0) return;
  const folders: string[] = [];
  for (const folder of parentsOf(files.map((file) => file.path))) {
    // An entry of an existing folder would set its mode and owner: only missing ones may be in the archive.
    const there = await orMissing(container.infoArchive({ path: folder }));
    // dockerode answers with the response itself here: an unread response holds its connection permanently.
    if (there) (there as Readable).resume();
    else folders.push(folder);
  }
  await container.putArchive(await archive(folders, files), { path: "/" });
}

/** Every folder above the paths but the root, outer ones first. */
export function parentsOf(paths: string[]): string[] {
  const parents = new Set<string>();
  for (const path of paths) {
    for (let folder = posix.dirname(posix.normalize(path)); folder !== "/"; folder = posix.dirname(folder)) {
      parents.add(folder);
    }
  }
  return [...parents].toSorted();
}

async function archive(folders: string[], files: Instance["files"]): Promise<Buffer> {
  const tar = pack();
  const root = { uid: 0, gid: 0 };
  for (const folder of folders) tar.entry({ ...root, name: folder.slice(1), type: "directory", mode: 0o755 });
  for (const { path, content, mode } of files)
    tar.entry({ ...root, name: posix.normalize(path).slice(1), mode }, content);
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
