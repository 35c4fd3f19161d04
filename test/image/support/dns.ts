import { createSocket } from "node:dgram";
import { createServer, isIPv6 } from "node:net";
import dns from "dns-packet";

/** A name server whose responses the test sets. */
export interface NameServer {
  /** Sets a name's response from now on: addresses of either family; none (NXDOMAIN); or no response, as if the server were down. */
  say(name: string, addresses: readonly string[] | "silence"): void;
  /** Domains of CAs that the CAA records of a name allow from now on. Empty: it has no such records. */
  allow(name: string, authorities: readonly string[]): void;
  /** How many queries for a name arrived, whether answered or not. */
  asked(name: string): number;
  close(): Promise<void>;
}

const nameError = 3;

/** Answers A and AAAA over UDP and TCP, with a TTL of one second. https://www.rfc-editor.org/rfc/rfc1035#section-4 */
export async function startNameServer(address: string, port: number): Promise<NameServer> {
  const names = new Map<string, readonly string[] | "silence">();
  const allowed = new Map<string, readonly string[]>();
  const asked = new Map<string, number>();
  const socket = createSocket("udp4");
  const answer = (query: Buffer): Buffer | undefined => {
    const { id = 0, questions = [] } = dns.decode(query);
    const [{ name: written, type } = { name: "", type: "A" as const }] = questions;
    const name = written.toLowerCase();
    asked.set(name, (asked.get(name) ?? 0) + 1);
    const known = names.get(name);
    if (known === "silence") return undefined;
    const found = (known ?? []).filter((it) => type === (isIPv6(it) ? "AAAA" : "A"));
    const issue = type === "CAA" ? (allowed.get(name) ?? []) : [];
    return dns.encode({
      type: "response",
      id,
      flags:
        dns.AUTHORITATIVE_ANSWER |
        dns.RECURSION_DESIRED |
        dns.RECURSION_AVAILABLE |
        (known === undefined ? nameError : 0),
      questions,
      answers: [
        ...found.map((data) => ({
          type: isIPv6(data) ? ("AAAA" as const) : ("A" as const),
          name: written,
          ttl: 1,
          data,
        })),
        ...issue.map((value) => ({
          type: "CAA" as const,
          name: written,
          ttl: 1,
          data: { tag: "issue" as const, value, flags: 0 },
        })),
      ],
    });
  };
  socket.on("message", (query, from) => {
    const text = answer(query);
    if (text) socket.send(text, from.port, from.address);
  });
  // Each message follows its length: https://www.rfc-editor.org/rfc/rfc1035#section-4.2.2
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
  const close = async (): Promise<void> => {
    server.close();
    await new Promise<void>((closed) => socket.close(() => closed()));
  };
  try {
    await new Promise<void>((bound, failed) => server.once("error", failed).listen(port, address, bound));
    await new Promise<void>((bound, failed) => socket.once("error", failed).bind(port, address, bound));
  } catch (error) {
    await close();
    throw error;
  }
  return {
    say: (name, addresses) => void names.set(name, addresses),
    allow: (name, authorities) => void allowed.set(name, authorities),
    asked: (name) => asked.get(name) ?? 0,
    close,
  };
}
