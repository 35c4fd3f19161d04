import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

const read = (name: string): string => readFileSync(join(import.meta.dirname, name), "utf8");

/** Self-signed, for the origin's name. */
export const originCertificate = read("origin.pem");

/** Not a secret: it only identifies the tests' origin to images that the tests build. */
export const originKey = read("origin.key.pem");

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** A web server in the test's own process: the test sets its responses and inspects its requests. */
export interface Origin {
  port: number;
  server: Server;
  /** Requests so far, oldest first. */
  seen: IncomingMessage[];
  /** Connections accepted so far. */
  connections(): number;
  /** Requests for one path, with or without a query. */
  hits(path: string): number;
  answer(path: string, answer: Answer): void;
  close(): Promise<void>;
}

/** Listens on all addresses and a free port by default: containers connect from their bridge. */
export async function startOrigin({ tls = false, port = 0, address = "0.0.0.0" } = {}): Promise<Origin> {
  const answers = new Map<string, Answer>();
  const seen: IncomingMessage[] = [];
  let connections = 0;
  const pathOf = (request: IncomingMessage): string => (request.url ?? "").split("?")[0] ?? "";
  const listener: Answer = (request, response) => {
    seen.push(request);
    const answer = answers.get(pathOf(request)) ?? ((_, it) => it.writeHead(404).end("origin knows no such path\n"));
    answer(request, response);
  };
  // Node's own limit for headers is 16 KB.
  const bound = { maxHeaderSize: 128 * 1024 };
  const server = tls
    ? createTlsServer({ key: originKey, cert: originCertificate, ...bound }, listener)
    : createServer(bound, listener);
  server.on("connection", () => connections++);
  await new Promise<void>((listening) => server.listen(port, address, listening));
  return {
    port: (server.address() as AddressInfo).port,
    server,
    seen,
    connections: () => connections,
    hits: (path) => seen.filter((request) => pathOf(request) === path).length,
    answer: (path, answer) => void answers.set(path, answer),
    close: () =>
      new Promise((closed) => {
        server.closeAllConnections();
        server.close(() => closed());
      }),
  };
}
