import { byKey } from "../../lib/order.ts";
import type { ImageSpec } from "../spec.ts";
import { isLuggageName } from "./validators.ts";

/**
 * Users and groups of the image, defined in one map. Every process that does not run as root has a user of its own, so that none can read, signal or exhaust
 * another's.
 */
export interface User {
  uid: number;
  /** ID of its own group. */
  gid: number;
  home: string;
  /** Names of further groups. */
  groups?: string[];
}

const systemUsers: Record<string, User> = {
  root: { uid: 0, gid: 0, home: "/root" },
  nginx: { uid: 101, gid: 101, home: "/var/lib/nginx" },
  unbound: { uid: 102, gid: 102, home: "/var/lib/unbound" },
  certs: { uid: 103, gid: 103, home: "/var/lib/pop" },
  health: { uid: 104, gid: 104, home: "/" },
  nobody: { uid: 65534, gid: 65534, home: "/" },
};

/** User of connections before their key is accepted. */
const sshd: User = { uid: 105, gid: 105, home: "/run/sshd" };

/** Only root has a shell, and no password: `fly ssh console` asks for none, and there is no other way to log in. */
const shells: Record<string, string> = { root: "/bin/sh" };
const noShell = "/bin/false";

/** IDs of luggage users. Files on a volume must keep their owner, so an ID is derived from the name, not from its place in a list. */
const luggageIds = { first: 20_000, count: 20_000 };

/** All users of an image, by name. */
export function users(spec: Pick<ImageSpec, "luggage" | "ssh">): Record<string, User> {
  const all: Record<string, User> = { ...systemUsers, ...(spec.ssh ? { sshd } : {}) };
  for (const [luggage, { user = luggage }] of Object.entries(spec.luggage).toSorted(byKey)) {
    for (const name of [luggage, user])
      if (!isLuggageName(name))
        throw new Error(`luggage ${JSON.stringify(name)}: not a name for a process and its user.`);
    const id = luggageIds.first + (fnv1a(user) % luggageIds.count);
    all[luggageUser(user)] = { uid: id, gid: id, home: `/var/lib/luggage/${user}` };
  }
  assertUniqueIds(all);
  return all;
}

export const luggageUser = (name: string): string => `luggage-${name}`;

export const passwd = (all: Record<string, User>): string =>
  lines(all, (name, it) => `${name}:x:${it.uid}:${it.gid}::${it.home}:${shells[name] ?? noShell}`);

export const group = (all: Record<string, User>): string =>
  lines(all, (name, it) => `${name}:x:${it.gid}:${membersOf(name, all).join(",")}`);

/** `*`: no password opens the account. */
export const shadow = (all: Record<string, User>): string => lines(all, (name) => `${name}:*:::::::`);

function lines(all: Record<string, User>, line: (name: string, user: User) => string): string {
  return Object.entries(all)
    .toSorted(([a, one], [b, other]) => one.uid - other.uid || (a < b ? -1 : 1))
    .map(([name, user]) => `${line(name, user)}\n`)
    .join("");
}

const membersOf = (name: string, all: Record<string, User>): string[] =>
  Object.keys(all)
    .filter((member) => all[member]?.groups?.includes(name))
    .toSorted();

function assertUniqueIds(all: Record<string, User>): void {
  for (const key of ["uid", "gid"] as const) {
    const seen = new Map<number, string>();
    for (const [name, user] of Object.entries(all)) {
      const duplicate = seen.get(user[key]);
      if (duplicate)
        throw new Error(`luggage: ${duplicate} and ${name} would both be ${key} ${user[key]}. Rename one of them.`);
      seen.set(user[key], name);
    }
  }
}

/** http://www.isthe.com/chongo/tech/comp/fnv/, 32 bits. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}
