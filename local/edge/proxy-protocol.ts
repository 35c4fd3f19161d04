/**
 * The PROXY protocol header Fly Proxy puts before the first byte of a connection when a service port has the handler `proxy_proto`.
 * Pure: two endpoints in, bytes out. https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
 */
import { isIP } from "node:net";

export interface Endpoint {
  /** IPv4 or IPv6 address in any spelling; a zone ("%eth0") is dropped. */
  address: string;
  port: number;
}

export type ProxyVersion = "v1" | "v2";

/** @param source the client, as the proxy sees it. @param destination the public address and port it dialled. */
export function proxyHeader(version: ProxyVersion, source: Endpoint, destination: Endpoint): Buffer {
  return version === "v1" ? headerV1(source, destination) : headerV2(source, destination);
}

const signature = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const versionAndCommand = 0x21; // version 2, PROXY (not LOCAL)
const tcpOver = { 4: 0x11, 16: 0x21 } as const; // address family and STREAM, by bytes of an address

function headerV2(source: Endpoint, destination: Endpoint): Buffer {
  const { from, to, family } = sameFamily(source, destination);
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(source.port, 0);
  ports.writeUInt16BE(destination.port, 2);
  const addresses = Buffer.concat([from, to, ports]);
  const head = Buffer.from([versionAndCommand, tcpOver[family], 0, addresses.length]);
  return Buffer.concat([signature, head, addresses]);
}

function headerV1(source: Endpoint, destination: Endpoint): Buffer {
  const { from, to, family } = sameFamily(source, destination);
  const words = ["PROXY", family === 4 ? "TCP4" : "TCP6", text(from), text(to), source.port, destination.port];
  return Buffer.from(`${words.join(" ")}\r\n`, "latin1");
}

/** One header has one family. Where the two differ the IPv4 one is written as IPv4-mapped IPv6, so no address is lost. */
function sameFamily(source: Endpoint, destination: Endpoint): { from: Buffer; to: Buffer; family: 4 | 16 } {
  const from = addressBytes(source.address);
  const to = addressBytes(destination.address);
  if (from.length === 4 && to.length === 4) return { from, to, family: 4 };
  return { from: mapped(from), to: mapped(to), family: 16 };
}

const v4InV6 = Buffer.from("00000000000000000000ffff", "hex");

const mapped = (bytes: Buffer): Buffer => (bytes.length === 4 ? Buffer.concat([v4InV6, bytes]) : bytes);

/**
 * 4 or 16 bytes. An IPv4-mapped address counts as IPv4: that is how a dual-stack socket shows an IPv4 client.
 * @throws RangeError when the text is not an address.
 */
export function addressBytes(address: string): Buffer {
  const bare = address.replace(/%.*$/, "");
  const kind = isIP(bare);
  if (kind === 4) return Buffer.from(bare.split(".").map(Number));
  if (kind !== 6) throw new RangeError(`"${address}" is not an IP address.`);
  const bytes = Buffer.from(
    groups(bare)
      .map((group) => group.padStart(4, "0"))
      .join(""),
    "hex",
  );
  return bytes.subarray(0, 12).equals(v4InV6) ? bytes.subarray(12) : bytes;
}

/** The eight groups of a valid IPv6 address. */
function groups(address: string): string[] {
  const [head = "", tail] = address.replace(/\d+\.\d+\.\d+\.\d+$/, dottedAsGroups).split("::");
  const left = head === "" ? [] : head.split(":");
  if (tail === undefined) return left;
  const right = tail === "" ? [] : tail.split(":");
  return [...left, ...Array<string>(8 - left.length - right.length).fill("0"), ...right];
}

function dottedAsGroups(dotted: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = dotted.split(".").map(Number);
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

function text(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.subarray(0, 12).equals(v4InV6)) return `::ffff:${bytes.subarray(12).join(".")}`;
  // Not compressed: v1 allows both, and nothing here is read by people.
  return Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16)).join(":");
}
