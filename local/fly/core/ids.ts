import type { Clock } from "../../../lib/clock.ts";
import { ulidDigits } from "../../../lib/ulid.ts";
import { machineAddress, type PrivateNetwork } from "./private-network.ts";
import type { Random } from "./random.ts";

const hex = "0123456789abcdef";
const base36 = "0123456789abcdefghijklmnopqrstuvwxyz";
const adjectives = ["autumn", "billowing", "cold", "damp", "empty", "falling", "late", "misty", "quiet", "snowy"];
const nouns = ["breeze", "cloud", "dew", "field", "glade", "meadow", "pond", "river", "smoke", "wave"];

/** Ids in Fly's own forms. Given clock and random, the n-th id is always the same. */
export interface Ids {
  /** 14 lower-case hex digits. */
  machine(): string;
  /** ULID: sorts by the time it was made, and within a millisecond by order. */
  ulid(): string;
  volume(): string;
  snapshot(): string;
  nonce(): string;
  /** `word-word-1234`, for machines without a name of their own. */
  name(): string;
  app(): string;
  /** An address on the private network, for a machine on the given host. */
  privateIp(network: PrivateNetwork, zone: string): string;
}

export function createIds(clock: Clock, random: Random): Ids {
  const pick = (alphabet: string, length: number) =>
    Array.from({ length }, () => alphabet[Math.floor(random() * alphabet.length)]).join("");
  const below = (limit: number) => Math.floor(random() * limit);
  const quad = () => (1 + below(0xfffe)).toString(16);
  let lastTime = 0;
  let lastTail = "";
  return {
    machine: () => pick(hex, 14),
    ulid() {
      // Monotonic as the ULID document asks: two versions minted in one millisecond still sort by birth.
      const time = clock.now();
      lastTail = time === lastTime && lastTail !== "" ? increment(lastTail) : pick(ulidDigits, 16);
      lastTime = time;
      return encodeTime(time) + lastTail;
    },
    volume: () => `vol_${pick(base36, 16)}`,
    snapshot: () => `vs_${pick(base36, 20)}`,
    nonce: () => pick(hex, 12),
    name: () => `${adjectives[below(adjectives.length)]}-${nouns[below(nouns.length)]}-${1000 + below(9000)}`,
    app: () => pick(base36, 16),
    privateIp: (network, zone) => machineAddress(network, zone, quad),
  };
}

function encodeTime(time: number): string {
  let left = time;
  let text = "";
  for (let digit = 0; digit < 10; digit++) {
    text = ulidDigits[left % 32] + text;
    left = Math.floor(left / 32);
  }
  return text;
}

function increment(tail: string): string {
  const digits = [...tail];
  for (let at = digits.length - 1; at >= 0; at--) {
    const next = ulidDigits.indexOf(digits[at] ?? "0") + 1;
    digits[at] = ulidDigits[next % 32] ?? "0";
    if (next < 32) break;
  }
  return digits.join("");
}
