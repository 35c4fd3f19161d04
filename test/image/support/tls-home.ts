/** A web server at the origin that terminates TLS itself, and ClientHellos as visitors send them. */
import { createSecureServer } from "node:http2";
import { createServer, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { type ConnectionOptions, connect } from "node:tls";
import { originCertificate, originKey } from "./origin.ts";

export interface TlsHome {
  port: number;
  /** What each connection has sent so far, byte for byte, oldest first. */
  seen: Buffer[];
  /** Open connections. */
  open(): number;
  close(): Promise<void>;
}

/** Bytes of a PROXY header, version 2; its length is in bytes 14 to 16. */
const headerBytes = (bytes: Buffer): number => 16 + bytes.readUInt16BE(14);

/**
 * Speaks HTTP/1.1 and HTTP/2 and responds with protocol, host and path. Only records bytes that are not TLS.
 * @param proxyProtocol a complete PROXY header comes first
 */
export async function startTlsHome(port: number, { proxyProtocol = false } = {}): Promise<TlsHome> {
  const seen: Buffer[] = [];
  const sockets = new Set<Socket>();
  const web = createSecureServer({ key: originKey, cert: originCertificate, allowHTTP1: true }, (request, response) => {
    response.setHeader("x-served-by", "home");
    response.end(`HTTP/${request.httpVersion} ${request.headers.host ?? request.authority} ${request.url}`);
  });
  web.on("sessionError", () => {}).on("tlsClientError", () => {});
  const server = createServer((socket) => {
    const at = seen.push(Buffer.alloc(0)) - 1;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => {});
    let inner: Duplex | undefined;
    socket.on("data", (piece: Buffer) => {
      const all = Buffer.concat([seen[at] ?? Buffer.alloc(0), piece]);
      seen[at] = all;
      const skipped = proxyProtocol ? headerBytes(all) : 0;
      if (inner !== undefined) inner.push(piece);
      else if (all.length > skipped) {
        inner = new Duplex({
          read: () => {},
          write: (chunk, _, done) => void socket.write(chunk, () => done()),
          final: (done) => void socket.end(() => done()),
        });
        inner.on("error", () => {});
        web.emit("connection", inner);
        inner.push(all.subarray(skipped));
      }
    });
    socket.on("end", () => inner?.push(null));
    socket.on("close", () => inner?.destroy());
  });
  await new Promise<void>((listening, failed) => server.once("error", failed).listen(port, "0.0.0.0", listening));
  return {
    port,
    seen,
    open: () => sockets.size,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** The first bytes that a TLS client sends: one record with a ClientHello. */
export const clientHello = (options: ConnectionOptions): Promise<Buffer> =>
  new Promise((sent) => {
    const socket = new Duplex({
      read: () => {},
      write: (chunk: Buffer, _, done) => {
        sent(chunk);
        done();
      },
    });
    const client = connect({ ...options, socket, rejectUnauthorized: false });
    client.on("error", () => {});
  });

/** The same message in records of that many bytes each. https://www.rfc-editor.org/rfc/rfc8446#section-5.1 */
export function inRecords(hello: Buffer, bytes: number): Buffer {
  const message = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += bytes) {
    const part = message.subarray(at, at + bytes);
    const head = Buffer.from(hello.subarray(0, 5));
    head.writeUInt16BE(part.length, 3);
    records.push(head, part);
  }
  return Buffer.concat(records);
}
