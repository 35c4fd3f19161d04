import { type ClientRequest, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import type { Transform } from "node:stream";
import { type ConnectionOptions, type PeerCertificate, type TLSSocket, connect as tlsConnect } from "node:tls";
import { createBrotliDecompress, createGunzip } from "node:zlib";

/** A client behind the edge proxy, as the PoP sees it: a PROXY v2 header, then its bytes. */
export interface Visit {
  /** Port of 127.0.0.1 on which the PoP's port is published. */
  port: number;
  host: string;
  path?: string;
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** The visitor's address, of either family. Default 203.0.113.9. */
  client?: string;
  /** Server name in the ClientHello; default `host`. */
  servername?: string;
}

export interface Visited {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/** https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt, section 2.2: TCP over the family of the client's address. */
export function proxyV2(client: string): Buffer {
  const six = client.includes(":");
  const addresses = [client, six ? "2001:db8::1" : "198.51.100.1"].map(six ? bytesOf6 : bytesOf4);
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(40_000, 0);
  ports.writeUInt16BE(443, 2);
  const rest = Buffer.concat([...addresses, ports]);
  return Buffer.concat([
    Buffer.from("0d0a0d0a000d0a515549540a", "hex"),
    Buffer.from([0x21, six ? 0x21 : 0x11, 0, rest.length]),
    rest,
  ]);
}

const bytesOf4 = (address: string): Buffer => Buffer.from(address.split(".").map(Number));

/** Of an address that contains "::". */
function bytesOf6(address: string): Buffer {
  const [head = [], tail = []] = address.split("::").map((half) => half.split(":").filter(Boolean));
  const words = [...head, ...Array<string>(8 - head.length - tail.length).fill("0"), ...tail];
  return Buffer.from(words.map((word) => word.padStart(4, "0")).join(""), "hex");
}

/** A connection on which the PROXY header has been sent. */
export async function enter(port: number, client = "203.0.113.9"): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  await new Promise<void>((connected, failed) => socket.once("connect", connected).once("error", failed));
  socket.write(proxyV2(client));
  return socket;
}

/** Certificates of these PoPs are self-signed: tests check the name themselves. */
export async function enterTls(port: number, options: ConnectionOptions, client?: string): Promise<TLSSocket> {
  const socket = tlsConnect({
    rejectUnauthorized: false,
    ALPNProtocols: ["http/1.1"],
    ...options,
    socket: await enter(port, client),
  });
  await new Promise<void>((secured, failed) => {
    socket.once("secureConnect", secured).once("error", failed);
    socket.once("close", () => failed(new Error("closed before the handshake was done")));
  });
  return socket;
}

/** What a visitor who trusts these authorities alone is served. Undefined: the visitor gets a warning. */
export async function trustedCertificate(
  port: number,
  servername: string,
  ca: string,
): Promise<PeerCertificate | undefined> {
  try {
    const socket = await enterTls(port, { servername, ca, rejectUnauthorized: true });
    const certificate = socket.getPeerCertificate();
    socket.destroy();
    return certificate;
  } catch {
    return undefined;
  }
}

export async function https(visit: Visit): Promise<Visited> {
  return exchange(visit, await enterTls(visit.port, { servername: visit.servername ?? visit.host }, visit.client));
}

export async function http(visit: Visit): Promise<Visited> {
  return exchange(visit, await enter(visit.port, visit.client));
}

/** Node's own limit for headers is 16 KB. */
const maxHeaderSize = 128 * 1024;

/** A request on an open connection, not sent yet. */
const begin = (visit: Omit<Visit, "body">, socket: Socket): ClientRequest =>
  httpRequest({
    createConnection: () => socket,
    maxHeaderSize,
    method: visit.method ?? "GET",
    path: visit.path ?? "/",
    headers: { host: visit.host, ...visit.headers },
  });

function exchange(visit: Visit, socket: Socket): Promise<Visited> {
  return new Promise((answered, failed) => {
    const request = begin(visit, socket);
    request.once("error", failed);
    request.once("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("error", failed);
      response.once("end", () => {
        socket.destroy();
        answered({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString("utf8"),
        });
      });
    });
    request.end(visit.body);
  });
}

/** A request and its response, piece by piece. */
export interface Exchange {
  /** For the request's body: to be written to and ended. */
  request: ClientRequest;
  response: Promise<IncomingMessage>;
  /** Waits until the text of the response so far, decompressed, ends with this. */
  until(text: string): Promise<void>;
  /** Whether the response was complete. */
  end: Promise<void>;
}

export async function openExchange(visit: Omit<Visit, "body">): Promise<Exchange> {
  const socket = await enterTls(visit.port, { servername: visit.servername ?? visit.host }, visit.client);
  const request = begin(visit, socket);
  const response = new Promise<IncomingMessage>((answered, failed) => {
    request.once("response", answered).once("error", failed);
  });
  const body = response.then((it) => {
    const decoder = decoders[it.headers["content-encoding"] ?? ""];
    return decoder ? it.pipe(decoder()) : it;
  });
  let text = "";
  let look = () => {};
  const end = body.then(
    (stream) =>
      new Promise<void>((ended, failed) => {
        stream.on("data", (piece: Buffer) => {
          text += piece;
          look();
        });
        stream.once("end", ended).once("error", failed);
      }),
  );
  end.catch(() => {}); // the error is reported where `end` is awaited
  return {
    request,
    response,
    end: end.finally(() => socket.destroy()),
    until: (wanted) =>
      new Promise((seen, failed) => {
        look = () => text.endsWith(wanted) && seen();
        look();
        end.catch(failed);
      }),
  };
}

const decoders: Record<string, () => Transform> = { br: createBrotliDecompress, gzip: createGunzip };
