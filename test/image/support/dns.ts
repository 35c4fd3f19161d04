import { createSocket } from "node:dgram";
import { createServer, isIPv6 } from "node:net";
import { bytesOf6 } from "./client.ts";

/** A name server whose answers the test says. */
export interface NameServer {
  /** What a name has from now on: addresses of either family; none (NXDOMAIN); or nothing at all, as when the server is away. */
  say(name: string, addresses: readonly string[] | "silence"): void;
  /** How often it was asked for a name, whether it answered or not. */
  asked(name: string): number;
  close(): Promise<void>;
}

/** Answers A and AAAA by UDP and TCP, with a TTL of a second. https://www.rfc-editor.org/rfc/rfc1035#section-4 */
export async function startNameServer(address: string, port: number): Promise<NameServer> {
  const names = new Map<string, readonly string[] | "silence">();
  const asked = new Map<string, number>();
  const socket = createSocket("udp4");
  const answer = (query: Buffer): Buffer | undefined => {
    const { name, end } = question(query);
    asked.set(name, (asked.get(name) ?? 0) + 1);
    const known = names.get(name);
    if (known === "silence") return undefined;
    const type = query.readUInt16BE(end - 4);
    const found = (known ?? []).filter((it) => type === (isIPv6(it) ? 28 : 1));
    const header = Buffer.from(query.subarray(0, 12));
    header.writeUInt16BE(known ? 0x8580 : 0x8583, 2);
    header.writeUInt16BE(found.length, 6);
    header.fill(0, 8);
    return Buffer.concat([header, query.subarray(12, end), ...found.map(record)]);
  };
  socket.on("message", (query, from) => {
    const text = answer(query);
    if (text) socket.send(text, from.port, from.address);
  });
  // Each message behind its length: https://www.rfc-editor.org/rfc/rfc1035#section-4.2.2
  const server = createServer((client) => {
    let received = Buffer.alloc(0);
    client.on("error", () => {});
    client.on("data", (piece: Buffer) => {
      received = Buffer.concat([received, piece]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const end = 2 + received.readUInt16BE(0);
        const text = answer(received.subarray(2, end));
        received = received.subarray(end);
        const length = Buffer.alloc(2);
        length.writeUInt16BE(text?.length ?? 0, 0);
        if (text) client.write(Buffer.concat([length, text]));
      }
    });
  });
  await new Promise<void>((bound, failed) => server.once("error", failed).listen(port, address, bound));
  await new Promise<void>((bound, failed) => socket.once("error", failed).bind(port, address, bound));
  return {
    say: (name, addresses) => void names.set(name, addresses),
    asked: (name) => asked.get(name) ?? 0,
    close: async () => {
      server.close();
      await new Promise<void>((closed) => socket.close(() => closed()));
    },
  };
}

/** The name asked for, and where the question with its type and class ends. */
function question(query: Buffer): { name: string; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += length + 1;
  }
  return { name: labels.join(".").toLowerCase(), end: at + 5 };
}

function record(address: string): Buffer {
  const six = isIPv6(address);
  const data = six ? bytesOf6(address) : Buffer.from(address.split(".").map(Number));
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0); // the name of the question
  head.writeUInt16BE(six ? 28 : 1, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(1, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}
