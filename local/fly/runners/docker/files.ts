/** Puts a machine's files into a container that was created and not started. Below a volume's path they land on the volume. */
import { posix } from "node:path";
import type { Readable } from "node:stream";
import type Docker from "dockerode";
import { pack } from "tar-stream";
import { orMissing } from "../../../docker/engine.ts";
import type { Instance } from "../../core/runner.ts";

/** Owner root, permission bits as given; missing directories are made with 0755, those that are there keep owner and mode. */
export async function putFiles(container: Docker.Container, files: Instance["files"]): Promise<void> {
  if (files.length === 0) return;
  const dirs: string[] = [];
  for (const dir of parentsOf(files.map((file) => file.path))) {
    // An entry of an existing directory would set its mode and owner: only missing ones may be in the archive.
    const there = await orMissing(container.infoArchive({ path: dir }));
    // dockerode answers with the response itself here: an unread response holds its connection permanently.
    if (there) (there as Readable).resume();
    else dirs.push(dir);
  }
  await container.putArchive(await archive(dirs, files), { path: "/" });
}

/** Every directory above the paths but the root, outer ones first. */
export function parentsOf(paths: string[]): string[] {
  const parents = new Set<string>();
  for (const path of paths) {
    for (let dir = posix.dirname(posix.normalize(path)); dir !== "/"; dir = posix.dirname(dir)) {
      parents.add(dir);
    }
  }
  return [...parents].toSorted();
}

async function archive(dirs: string[], files: Instance["files"]): Promise<Buffer> {
  const tar = pack();
  const root = { uid: 0, gid: 0 };
  for (const dir of dirs) tar.entry({ ...root, name: dir.slice(1), type: "directory", mode: 0o755 });
  for (const { path, content, mode } of files)
    tar.entry({ ...root, name: posix.normalize(path).slice(1), mode }, content);
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
