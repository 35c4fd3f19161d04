/** Networks and lists of networks, for access rules. Pure. */
import { isIPv4, isIPv6 } from "node:net";

/**
 * The canonical form of a network: with its prefix length, and no bits set beyond it. Undefined if the text is not a network. A single address gets its full
 * length.
 */
export function parseNetwork(text: string): string | undefined {
  const [address = "", bits, ...rest] = text.split("/");
  if (rest.length > 0 || (bits !== undefined && !/^(?:0|[1-9]\d{0,2})$/.test(bits))) return undefined;
  if (isIPv4(address)) return masked(octets(address), Number(bits ?? 32), ipv4Text);
  if (!isIPv6(address) || address.includes("%")) return undefined;
  const bytes = bytesOf6(address);
  // An IPv4-mapped IPv6 address: nginx sees it as IPv4.
  const mapped = bytes.slice(0, 12).every((byte, at) => byte === (at < 10 ? 0 : 255));
  if (!mapped) return masked(bytes, Number(bits ?? 128), ipv6Text);
  return Number(bits ?? 128) < 96 ? undefined : masked(bytes.slice(12), Number(bits ?? 128) - 96, ipv4Text);
}

function masked(bytes: number[], bits: number, write: (bytes: number[]) => string): string | undefined {
  if (bits > bytes.length * 8) return undefined;
  const kept = bytes.map((byte, at) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - at * 8))) & 0xff);
  return `${write(kept)}/${bits}`;
}

const octets = (address: string): number[] => address.split(".").map(Number);

/** The URL parser writes every form of an address in hexadecimal groups. */
function bytesOf6(address: string): number[] {
  const [head = [], tail] = new URL(`http://[${address}]`).hostname
    .slice(1, -1)
    .split("::")
    .map((half) => half.split(":").filter(Boolean));
  const end = tail ?? [];
  const groups = [...head, ...Array<string>(8 - head.length - end.length).fill("0"), ...end];
  return groups.map((group) => Number.parseInt(group, 16)).flatMap((group) => [group >> 8, group & 0xff]);
}

const ipv4Text = (bytes: number[]): string => bytes.join(".");
const ipv6Text = (bytes: number[]): string => {
  const groups = Array.from({ length: 8 }, (_, at) =>
    (((bytes[2 * at] ?? 0) << 8) | (bytes[2 * at + 1] ?? 0)).toString(16),
  );
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
};

/** nginx keeps a network in 1.2 KB (IPv4) to 3 KB (IPv6), measured with 20,000 random ones. A full list takes 12 to 30 MB. */
export const maxNetworks = 10_000;

/**
 * Parses a list of networks: one per line, with comments after `#` or `;`. Returns them sorted, without duplicates. Throws for an invalid line, an empty list
 * and one that is too long; the message starts with `what`.
 */
export function parseNetworks(list: string, what: string): string[] {
  const found = new Set<string>();
  for (const [at, line] of list.split("\n").entries()) {
    const text = line.replace(/[#;].*/s, "").trim();
    if (text === "") continue;
    const parsed = parseNetwork(text);
    if (parsed === undefined)
      throw new Error(
        `${what}: line ${at + 1} is ${JSON.stringify(text.slice(0, 60))}: takes an address or a network, as in 203.0.113.7 or 2001:db8::/32.`,
      );
    found.add(parsed);
    if (found.size > maxNetworks)
      throw new Error(`${what}: has more than ${maxNetworks} networks, which would use too much of a PoP's memory.`);
  }
  if (found.size === 0) throw new Error(`${what}: has no address or network.`);
  return [...found].toSorted();
}

/** Part of a browser's or crawler's User-Agent, matched literally. */
export const isAgent = (text: string): boolean =>
  /^[A-Za-z0-9(][A-Za-z0-9 ._/+;:,@()-]{1,98}[A-Za-z0-9)/.]$/.test(text);
