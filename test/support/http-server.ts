import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

export interface Received {
  method: string;
  /** Path and query as sent. */
  url: string;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface Answer {
  status?: number;
  headers?: Record<string, string>;
  /** A string goes out as it is, anything else as JSON. "hang up": the connection is cut instead. */
  body?: unknown;
}

/** A real HTTP server on loopback that answers as the test says and records its requests; closed when the test ends. */
export async function httpServer(
  answer: (request: Received, index: number) => Answer | "hang up",
): Promise<{ url: string; received: Received[] }> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const it: Received = {
        method: request.method ?? "",
        url: request.url ?? "",
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
      };
      received.push(it);
      const reported = answer(it, received.length - 1);
      if (reported === "hang up") return request.socket.destroy();
      response.writeHead(reported.status ?? 200, reported.headers);
      response.end(typeof reported.body === "string" ? reported.body : JSON.stringify(reported.body ?? {}));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received };
}
