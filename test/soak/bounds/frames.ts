import type { TLSSocket } from "node:tls";
import { enterTls } from "../../image/support/client.ts";

/** Frames of HTTP/2 as no well-behaved client writes them. https://www.rfc-editor.org/rfc/rfc9113#section-6 */
export const types = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const flags = { none: 0, ack: 1, endStream: 1, endHeaders: 4 } as const;

/** The largest payload nginx takes. */
const largestFrame = 16_384;

export function frame(type: number, flag: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flag;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

export const number32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

/** Settings by number, https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2 */
export const settings = (values: Record<number, number> = {}): Buffer =>
  frame(
    types.settings,
    flags.none,
    0,
    Buffer.concat(
      Object.entries(values).map(([id, value]) => Buffer.concat([Buffer.from([0, Number(id)]), number32(value)])),
    ),
  );

export const initialWindowSize = 4;

/** What a client says first. */
export const preface = (values: Record<number, number> = {}): Buffer =>
  Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), settings(values)]);

/** A field as HPACK writes it when it neither indexes nor compresses: https://www.rfc-editor.org/rfc/rfc7541#section-6.2.2 */
export const field = (name: string, value: string, indexed = false): Buffer =>
  Buffer.concat([Buffer.from([indexed ? 0x40 : 0]), text(name), text(value)]);

const text = (value: string): Buffer => Buffer.concat([integer(value.length, 7), Buffer.from(value)]);

/** https://www.rfc-editor.org/rfc/rfc7541#section-5.1 */
function integer(value: number, prefix: number): Buffer {
  const most = 2 ** prefix - 1;
  if (value < most) return Buffer.from([value]);
  const bytes = [most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}

export const requestFields = (host: string, path: string, method = "GET"): Buffer =>
  Buffer.concat([field(":method", method), field(":scheme", "https"), field(":authority", host), field(":path", path)]);

/** A block of fields in as many frames as it takes. */
export function headers(stream: number, block: Buffer, { end = true, endStream = true } = {}): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at === 0 || at < block.length; at += largestFrame) {
    const last = end && at + largestFrame >= block.length;
    pieces.push(
      frame(
        at === 0 ? types.headers : types.continuation,
        (last ? flags.endHeaders : 0) | (at === 0 && endStream ? flags.endStream : 0),
        stream,
        block.subarray(at, at + largestFrame),
      ),
    );
  }
  return Buffer.concat(pieces);
}

export interface Seen {
  type: number;
  flag: number;
  stream: number;
  payload: Buffer;
}

export interface RawConnection {
  socket: TLSSocket;
  /** Frames that came, oldest first, those of data left out. */
  seen: Seen[];
  /** Bytes of data frames. */
  received(): number;
  /** Writes, and waits until the kernel has taken it or the connection has ended. */
  write(bytes: Buffer): Promise<void>;
  isClosed(): boolean;
  destroy(): void;
}

/** A connection whose preface is sent, with these settings. Nothing that comes is answered. */
export async function enterRaw(
  port: number,
  host: string,
  { client, with: values }: { client?: string; with?: Record<number, number> } = {},
): Promise<RawConnection> {
  const socket = await enterTls(port, { servername: host, ALPNProtocols: ["h2"] }, client);
  const seen: Seen[] = [];
  let received = 0;
  let rest: Buffer = Buffer.alloc(0);
  let closed = false;
  socket.on("error", () => {});
  socket.once("close", () => {
    closed = true;
  });
  socket.on("data", (bytes: Buffer) => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const end = 9 + rest.readUIntBE(0, 3);
      const [, , , type = 0, flag = 0] = rest;
      if (type === types.data) received += end - 9;
      else seen.push({ type, flag, stream: rest.readUInt32BE(5), payload: Buffer.from(rest.subarray(9, end)) });
      rest = rest.subarray(end);
    }
  });
  socket.setMaxListeners(0);
  socket.write(preface(values));
  return {
    socket,
    seen,
    received: () => received,
    write: (bytes) =>
      closed
        ? Promise.resolve()
        : new Promise((written) => {
            const done = (): void => {
              socket.off("close", done);
              written();
            };
            socket.once("close", done);
            socket.write(bytes, done);
          }),
    isClosed: () => closed,
    destroy: () => socket.destroy(),
  };
}
