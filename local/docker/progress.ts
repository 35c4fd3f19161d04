/**
 * The end of a long call to the engine: a build, a pull, a push. Its answer is 200 and a stream of JSON lines, and a failure on the way is a
 * line too. dockerode's own `followProgress` calls that, and a line that breaks off, a success.
 */
import type { Readable } from "node:stream";
import { textLines } from "./output.ts";

/** Resolves when the work is done. Rejects with the engine's words when it failed. `event` gets every line. */
export async function followProgress(
  stream: NodeJS.ReadableStream,
  event: (line: object) => void = () => {},
): Promise<void> {
  for await (const text of textLines(stream as Readable)) {
    if (text.trim() === "") continue;
    const line = JSON.parse(text) as { error?: string };
    if (line.error !== undefined) throw new Error(line.error);
    event(line);
  }
}
