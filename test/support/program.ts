/** A static program out of an image, to run here. */
import { createWriteStream } from "node:fs";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { extract } from "tar-stream";
import { openDocker } from "../../local/docker/engine.ts";

/** Copies `path` of the image into a directory of this machine, executable. @returns where it is. */
export async function programOf(image: string, path: string, dir: string): Promise<string> {
  // The command is never run: an image without one cannot be made a container of.
  const container = await openDocker().createContainer({ Image: image, Cmd: [path] });
  const program = join(dir, basename(path));
  try {
    const unpacked = extract();
    unpacked.on("entry", (_, stream, next) => {
      pipeline(stream, createWriteStream(program, { mode: 0o755 })).then(() => next(), next);
    });
    await pipeline(await container.getArchive({ path }), unpacked);
  } finally {
    await container.remove();
  }
  return program;
}
