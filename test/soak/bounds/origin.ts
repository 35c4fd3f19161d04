import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";

/**
 * An origin in the test's own process. Query of a request: `size` bytes of an answer, `type` of it, `cache` for Cache-Control, `headers` bytes of header,
 * `chunked` for one that does not say its length, `wait` milliseconds before it. A request's body is counted: the answer to a POST is its length.
 */
export interface BoundsOrigin {
  /** From now on connections are taken and requests read, and none is answered. */
  hang(): void;
  /** As before. Requests of that time are cut off. */
  recover(): void;
  /** Requests so far. */
  total(): number;
  /** Bytes written of answers. */
  sent(): number;
  /** Connections there are. */
  open(): number;
  close(): Promise<void>;
}

export async function startBoundsOrigin(address: string, port: number): Promise<BoundsOrigin> {
  const open = new Set<Socket>();
  let hanging = false;
  let sent = 0;
  let total = 0;
  const server = createServer({ maxHeaderSize: 1 << 20 }, (request, response) => {
    const url = new URL(request.url ?? "/", "http://origin");
    total++;
    const wait = Number(url.searchParams.get("wait") ?? 0);
    const reply = () => answer(request, response, url.searchParams);
    if (hanging) return;
    if (wait > 0) setTimeout(reply, wait);
    else reply();
  });
  server.requestTimeout = 0;
  server.on("connection", (socket) => {
    open.add(socket.on("close", () => open.delete(socket)));
  });
  server.listen({ port, host: address, backlog: 4096 });
  await new Promise<void>((listening, failed) => server.once("listening", listening).once("error", failed));

  function answer(request: IncomingMessage, response: ServerResponse, query: URLSearchParams): void {
    const size = Number(query.get("size") ?? 3);
    response.setHeader("content-type", query.get("type") ?? "application/octet-stream");
    const cache = query.get("cache");
    if (cache) response.setHeader("cache-control", cache);
    for (let left = Number(query.get("headers") ?? 0), at = 0; left > 0; left -= 4096, at++) {
      response.setHeader(`x-large-${at}`, "h".repeat(Math.min(left, 4080)));
    }
    if (request.method === "POST") {
      let length = 0;
      request.on("data", (piece: Buffer) => {
        length += piece.length;
      });
      request.once("end", () => response.end(`${length}`));
      return;
    }
    request.resume();
    if (!query.has("chunked")) response.setHeader("content-length", size);
    response.writeHead(200);
    if (request.method === "HEAD") return void response.end();
    pour(response, size, (bytes) => {
      sent += bytes;
    });
  }

  return {
    hang: () => {
      hanging = true;
    },
    recover: () => {
      hanging = false;
      server.closeAllConnections();
    },
    total: () => total,
    sent: () => sent,
    open: () => open.size,
    close: () =>
      new Promise((closed) => {
        server.closeAllConnections();
        server.close(() => closed());
      }),
  };
}

/** Text that compresses to a third or so, as pages do. */
const words = Buffer.from(
  Array.from({ length: 12_000 }, (_, at) => `${(at * 2_654_435_761) % 4_294_967_296} word${at % 97} `).join(""),
).subarray(0, 128 * 1024);

function pour(response: ServerResponse, size: number, wrote: (bytes: number) => void): void {
  let left = size;
  const more = (): void => {
    while (left > 0) {
      const piece = words.subarray(0, Math.min(left, words.length));
      left -= piece.length;
      wrote(piece.length);
      if (!response.write(piece) && left > 0) return void response.once("drain", more);
    }
    response.end();
  };
  more();
}
