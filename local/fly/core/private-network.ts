/**
 * Addresses of the private network, 6PN, as Fly forms them: `fdaa`, 32 bits of the network, 32 of the host, 32 of the machine, and 16 that
 * the machine has for itself (it takes `::2`). They say nothing of a machine's id.
 * https://fly.io/docs/networking/private-networking/#6pn-addresses-in-detail
 *
 * Of a network's 32 bits the first half says which local Fly it is: several run side by side on one engine, whose networks may not overlap.
 */
import { createHash } from "node:crypto";

/** Where machines of every network find the name server that knows `.internal`. */
export const nameServer = "fdaa::3";

/** One network of one local Fly. */
export interface PrivateNetwork {
  /** Of the local Fly. 0: the one whose machines are rows. */
  group: number;
  /** Of the network in it, from 1 on. */
  number: number;
}

/** 1 to 65535, the same for the same stack. */
export const groupOf = (stack: string): number =>
  1 + (createHash("sha256").update(stack).digest().readUInt16BE() % 0xffff);

/** The fourth group of all machines' addresses, as one sees it on Fly; addresses of proxies have another. */
const machinesQuad = "a7b";

/** The first three of eight groups of every address on the network, e.g. "fdaa:0:1". */
const prefixOf = ({ group, number }: PrivateNetwork): string => `fdaa:${hex(group)}:${hex(number)}`;

/** @param quad draws a group of four hex digits that is not 0 */
export function machineAddress(network: PrivateNetwork, host: string, quad: () => string): string {
  // The first value is not used, but drawn: each further id, and so each seed of a simulation, depends on the number of draws.
  const [, high, low] = [quad(), quad(), quad()];
  return `${prefixOf(network)}:${machinesQuad}:${hostQuad(host)}:${high}:${low}:2`;
}

/** The n-th address of the network that leads to an app by Fly's proxy (Flycast). */
export const flycastAddress = (network: PrivateNetwork, n: number): string => `${prefixOf(network)}:0:1::${hex(n)}`;

export const isOnNetwork = (address: string, network: PrivateNetwork): boolean =>
  address.startsWith(`${prefixOf(network)}:${machinesQuad}:`);

/** What a machine's address says of its network. */
export interface Range {
  /** Of the network, for names of things. */
  name: string;
  /** All addresses of its machines. A /64: Docker 20.10 counts no further inside a network, and sets the groups above to 0. */
  subnet: string;
  /** What answers at `nameServer`, by its address in the range. */
  resolver: string;
}

/** Undefined if it is not a machine's address. */
export function rangeOf(address: string): Range | undefined {
  const [ula, group, number, machines] = address.split(":");
  if (ula !== "fdaa" || machines !== machinesQuad) return undefined;
  const prefix = `${ula}:${group}:${number}:${machines}`;
  return { name: `${group}-${number}`, subnet: `${prefix}::/64`, resolver: `${prefix}::3` };
}

const hex = (n: number): string => n.toString(16);

/** Four hex digits out of a host's name: machines of one host share them, as on Fly. */
function hostQuad(host: string): string {
  let sum = 7;
  for (const letter of host) sum = (sum * 31 + letter.charCodeAt(0)) % 0xffff;
  return hex(sum + 1);
}
