/** DNS messages in and out, by a library: a query as bytes, its answer, and the response as bytes. https://www.rfc-editor.org/rfc/rfc1035 */
import dns, { type DecodedPacket, type OptAnswer, type Packet } from "dns-packet";
import type { Answer, Code } from "./names.ts";

const codes = { NOERROR: 0, FORMERR: 1, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } satisfies Record<Code | "NOTIMP", number>;

/** Seconds that an answer may be kept, as Fly's own name server says. */
const ttl = 5;

/** What a client takes by UDP that says nothing else, and the most that passes every network in one piece. */
const [smallest, largest] = [512, 1232];

/**
 * @param from.tcp whether the answer may be of any length
 * @param find undefined: not a name of ours
 * @returns "elsewhere" for a name that is not ours; undefined for what deserves no answer
 */
export function respond(
  query: Buffer,
  from: { tcp: boolean },
  find: (question: { name: string; type: string }) => Answer | undefined,
): Buffer | "elsewhere" | undefined {
  const packet = decoded(query);
  if (packet === "junk") return query.length < 12 || isResponse(query) ? undefined : refused(query, "FORMERR");
  if (packet.type === "response") return undefined;
  if (opcode(packet) !== 0) return refused(query, "NOTIMP");
  const [question, second] = packet.questions ?? [];
  if (!question || second) return refused(query, "FORMERR");
  if (question.class !== "IN") return refused(query, "NOTIMP");
  const found = find(question);
  return found ? encoded(packet, from, found) : "elsewhere";
}

function decoded(query: Buffer): DecodedPacket | "junk" {
  try {
    return dns.decode(query);
  } catch {
    return "junk";
  }
}

/** 0: a query. */
const opcode = ({ flags = 0 }: DecodedPacket): number => (flags >> 11) & 0xf;

const isResponse = (query: Buffer): boolean => query.readUInt16BE(2) >= 0x8000;

function encoded(query: DecodedPacket, { tcp }: { tcp: boolean }, { code, records }: Answer): Buffer {
  const [question] = query.questions ?? [];
  const edns = query.additionals?.find((it): it is OptAnswer => it.type === "OPT");
  const reply = (over: Packet, flags = 0): Buffer =>
    dns.encode({
      type: "response",
      id: query.id ?? 0,
      flags:
        codes[code] |
        flags |
        dns.AUTHORITATIVE_ANSWER |
        dns.RECURSION_AVAILABLE |
        ((query.flags ?? 0) & dns.RECURSION_DESIRED),
      questions: query.questions ?? [],
      additionals: edns ? [opt] : [],
      ...over,
    });
  const { name, type } = question ?? { name: "", type: "" };
  const whole = reply({
    answers: records.map((record) =>
      type === "TXT" ? { type, name, ttl, data: strings(record) } : { type: "AAAA", name, ttl, data: record },
    ),
  });
  const fits = tcp || whole.length <= Math.max(smallest, Math.min(edns?.udpPayloadSize ?? smallest, largest));
  return fits ? whole : reply({}, dns.TRUNCATED_RESPONSE);
}

const opt: OptAnswer = {
  type: "OPT",
  name: ".",
  udpPayloadSize: largest,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
};

/** A text record is made of strings of 255 bytes at most. */
function strings(text: string): Buffer[] {
  const bytes = Buffer.from(text);
  return Array.from({ length: Math.ceil(bytes.length / 255) }, (_, at) => bytes.subarray(at * 255, (at + 1) * 255));
}

/** With the query's id and nothing else of it: it could not be read, or may not be. */
const refused = (query: Buffer, code: keyof typeof codes): Buffer =>
  dns.encode({ type: "response", id: query.readUInt16BE(0), flags: codes[code] });
