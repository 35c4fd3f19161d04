/** The engine's frames around a container's output: 8 bytes of head (stream, three zeros, length), then that many bytes. No frames with a TTY. */
import type { Readable } from "node:stream";

export interface Frame {
  stream: "stdout" | "stderr";
  bytes: Buffer;
}

const headLength = 8;

/** Frames of a stream of the engine, however its chunks are cut. */
export async function* frames(stream: Readable): AsyncGenerator<Frame> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= headLength) {
      const end = headLength + rest.readUInt32BE(4);
      if (rest.length < end) break;
      yield { stream: rest[0] === 2 ? "stderr" : "stdout", bytes: rest.subarray(headLength, end) };
      rest = rest.subarray(end);
    }
  }
}

/** Lines of both streams in the order they were written, without their ends; a last one without an end too. */
export async function* lines(stream: Readable): AsyncGenerator<string> {
  const decoders = { stdout: lineSplitter(), stderr: lineSplitter() };
  for await (const frame of frames(stream)) yield* decoders[frame.stream].push(frame.bytes);
  yield* decoders.stdout.end();
  yield* decoders.stderr.end();
}

/** Lines of a stream of text that is not framed, such as the engine's events. */
export async function* textLines(stream: Readable): AsyncGenerator<string> {
  const splitter = lineSplitter();
  for await (const chunk of stream as AsyncIterable<Buffer>) yield* splitter.push(chunk);
  yield* splitter.end();
}

function lineSplitter() {
  const decoder = new TextDecoder(); // a character may be cut between two frames
  let rest = "";
  return {
    push(bytes: Buffer): string[] {
      const parts = (rest + decoder.decode(bytes, { stream: true })).split(/\r?\n/);
      rest = parts.pop() ?? "";
      return parts;
    },
    end: (): string[] => (rest === "" ? [] : [rest]),
  };
}
