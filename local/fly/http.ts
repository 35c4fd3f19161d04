/** Local Fly on a socket. Loopback only, because a client that reaches the port and knows the token can start machines on this host. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Dropped } from "./core/errors.ts";
import type { LocalFly } from "./create.ts";

/** A config carries files inline; nothing sane is larger. */
const largestBody = 8 * 2 ** 20;

export interface HttpServer {
  /** Base URL without /v1, e.g. http://127.0.0.1:4280 */
  url: string;
  port: number;
  /** Ends open connections at once: a client that waits for a machine would hold the process for a minute. */
  close(): Promise<void>;
}

/**
 * @param port 0, the default: any free one
 * @param pages answers what is not the API's, and says whether it did
 */
export async function serve(
  handle: LocalFly["handle"],
  { port = 0, pages }: { port?: number; pages?: (request: IncomingMessage, response: ServerResponse) => boolean } = {},
): Promise<HttpServer> {
  const server = createServer((request, response) => {
    if (pages?.(request, response)) return;
    answer(handle, request, response).catch(() => response.destroy());
  });
  // Clients wait up to a minute; the default of 5 s between requests makes kept connections close under a client's next call.
  server.keepAliveTimeout = 120_000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const { port: actual } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${actual}`,
    port: actual,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      }),
  };
}

async function answer(handle: LocalFly["handle"], request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://local");
  const body = await text(request);
  if (body === undefined) {
    response.writeHead(413, { connection: "close" }).end();
    return;
  }
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : value]),
  );
  try {
    const reply = await handle({
      method: request.method ?? "GET",
      path: url.pathname,
      query: url.searchParams,
      headers,
      body,
    });
    const content = reply.status === 204 ? "" : reply.body;
    response.writeHead(reply.status, { ...reply.headers, "content-length": Buffer.byteLength(content) }).end(content);
  } catch (error) {
    if (!(error instanceof Dropped)) throw error;
    request.socket.destroy();
  }
}

/** undefined: larger than anything allowed. */
async function text(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > largestBody) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
