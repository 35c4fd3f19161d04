/** The public addresses of an app, and DNS records. */
import { Resolver } from "node:dns/promises";
import type { Fly } from "../fly/api.ts";
import { ifNotFound } from "../fly/errors.ts";
import { addressType } from "../providers/fly/address.ts";

export interface Address {
  type: "v4" | "v6" | "shared_v4";
  ip: string;
}

/** Addresses that visitors can reach, without private and egress addresses. Undefined: the app does not exist. */
export async function publicAddresses(app: string, fly: Pick<Fly, "listAddresses">): Promise<Address[] | undefined> {
  const rows = await fly.listAddresses(app).catch(ifNotFound(undefined));
  return rows?.flatMap((row): Address[] => {
    const type = addressType(row);
    return type === "other" || !row.ip ? [] : [{ type, ip: row.ip }];
  });
}

/** The canonical form of an IPv6 address, as in URLs. */
export const canonicalIp = (ip: string): string =>
  ip.includes(":") ? new URL(`http://[${ip}]`).hostname.slice(1, -1) : ip;

export type RecordType = "A" | "AAAA";

/** Addresses of a name, following CNAMEs; empty if it has no such record. Rejects if DNS does not respond. */
export async function recordsOf(
  name: string,
  type: RecordType,
  options: { timeout: number; tries: number },
): Promise<string[]> {
  const dns = new Resolver(options);
  try {
    return type === "A" ? await dns.resolve4(name) : await dns.resolve6(name);
  } catch (error) {
    if (["ENODATA", "ENOTFOUND"].includes((error as NodeJS.ErrnoException).code ?? "")) return [];
    throw error;
  }
}
