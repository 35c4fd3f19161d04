/** A visitor with HTTP/2. */
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type OutgoingHttpHeaders } from "node:http2";
import { enterTls } from "./client.ts";

/** A visitor's open HTTP/2 connection, after nginx's settings arrived. */
export async function enterHttp2(port: number, host: string, client?: string): Promise<ClientHttp2Session> {
  const socket = await enterTls(port, { servername: host, ALPNProtocols: ["h2"] }, client);
  const session = connect(`https://${host}`, { createConnection: () => socket, peerMaxConcurrentStreams: 128 });
  session.on("error", () => {});
  await new Promise<void>((ready, failed) => session.once("remoteSettings", () => ready()).once("error", failed));
  return session;
}

/** A stream that nothing waits for. */
export function ask(session: ClientHttp2Session, path: string, headers: OutgoingHttpHeaders = {}): ClientHttp2Stream {
  const stream = session.request({ ":path": path, ...headers }, { endStream: headers[":method"] !== "POST" });
  stream.on("error", () => {});
  return stream;
}

/** Status of a stream. Undefined if it ended without one. */
export const statusOf = (stream: ClientHttp2Stream): Promise<number | undefined> =>
  new Promise((answered) => {
    stream.once("response", ({ ":status": status }) => answered(status));
    stream.once("close", () => answered(undefined));
  });
