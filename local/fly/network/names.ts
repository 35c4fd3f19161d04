/**
 * The names of the private network: which records a question gets. Pure: the question, who asks, and all that runs in; records out.
 * https://fly.io/docs/networking/private-networking/#fly-io-internal-dns
 *
 * Not modelled: peers of WireGuard (`_peer.internal`), Flycast (`<app>.flycast`), names of addresses (PTR).
 */
import { distanceKm, regionByCode } from "../../../fly/regions.ts";

/** All that the names are made of: apps and machines of every network, in a fixed order. */
export interface Directory {
  apps: readonly { name: string; network: number }[];
  machines: readonly NamedMachine[];
}

export interface NamedMachine {
  id: string;
  app: string;
  /** Of its app. */
  network: number;
  region: string;
  privateIp: string;
  /** Its instance runs; a stopped or suspended one does not. */
  started: boolean;
  /** False: its config keeps it out of the names (`dns.skip_registration`). */
  registered: boolean;
  metadata: Readonly<Record<string, string>>;
}

/** Where a question comes from: another network sees nothing of this one. */
export interface Asker {
  network: number;
  region: string;
}

export type Code = "NOERROR" | "NXDOMAIN" | "FORMERR" | "REFUSED";

/** `records`: addresses for AAAA, one text for TXT, nothing for any other type. */
export interface Answer {
  code: Code;
  records: string[];
}

/** What a name has, by type; undefined: there is no such name. */
interface Records {
  AAAA?: readonly string[];
  TXT?: string;
}

/**
 * @param name as asked, in any case, with or without a final dot
 * @param asker undefined: not a member of the private network
 * @returns undefined for what is not under `.internal`: the engine's own name servers know it
 */
export function answer(
  { name, type }: { name: string; type: string },
  asker: Asker | undefined,
  directory: Directory,
): Answer | undefined {
  const labels = name.toLowerCase().replace(/\.$/, "").split(".");
  if (labels.at(-1) !== "internal") return undefined;
  if (name.length > 254 || labels.some((it) => it === "" || it.length > 63)) return { code: "FORMERR", records: [] };
  if (!asker) return { code: "REFUSED", records: [] };
  const found = recordsOf(labels.slice(0, -1), asker, directory);
  if (!found) return { code: "NXDOMAIN", records: [] };
  if (type === "AAAA") return { code: "NOERROR", records: [...(found.AAAA ?? [])] };
  return { code: "NOERROR", records: type === "TXT" && found.TXT ? [found.TXT] : [] };
}

/** @param labels those before `internal` */
function recordsOf(labels: readonly string[], asker: Asker, directory: Directory): Records | undefined {
  const name = labels.join(".");
  const inNetwork = <T extends { network: number }>(rows: readonly T[]) =>
    rows.filter(({ network }) => network === asker.network);
  const apps = inNetwork(directory.apps).map((it) => it.name);
  const deployed = inNetwork(directory.machines).filter(({ registered }) => registered);
  if (name === "") return {};
  if (name === "_apps") return { TXT: apps.join(",") };
  if (name === "_peer") return {};
  if (name === "_instances") return { TXT: instances(deployed.filter(({ started }) => started)) };
  if (name === "all._instances") return { TXT: instances(deployed) };
  const app = labels.at(-1) ?? "";
  if (!apps.includes(app)) return undefined;
  return recordsOfApp(
    labels.slice(0, -1),
    deployed.filter((it) => it.app === app),
    asker.region,
  );
}

/** @param labels those before the app's name */
function recordsOfApp(
  labels: readonly string[],
  deployed: readonly NamedMachine[],
  askerRegion: string,
): Records | undefined {
  const started = deployed.filter((it) => it.started);
  const [first = "", second = ""] = labels;
  /** What comes after the first label, or the first two. */
  const [kind, longKind] = [labels.slice(1).join("."), labels.slice(2).join(".")];
  const where = (wanted: (it: NamedMachine) => boolean): Records => ({ AAAA: addresses(started.filter(wanted)) });
  if (labels.length === 0) return where(() => true);
  if (labels.length === 1) {
    if (first === "global") return where(() => true);
    if (first === "vms") return { TXT: vms(started) };
    if (first === "regions") return { TXT: regions(started) };
    return regionByCode(first) ? where(({ region }) => region === first) : undefined;
  }
  if (first === "all" && kind === "vms") return { TXT: vms(deployed) };
  if (first === "all" && kind === "regions") return { TXT: regions(deployed) };
  if (kind === "vm") return deployed.some(({ id }) => id === first) ? where(({ id }) => id === first) : undefined;
  if (kind === "process") return where(({ metadata }) => metadata.fly_process_group?.toLowerCase() === first);
  if (kind === "nearest.of") {
    const count = Number(/^top([1-9]\d{0,3})$/.exec(first)?.[1] ?? 0);
    return count > 0 ? { AAAA: addresses(nearest(started, askerRegion).slice(0, count)) } : undefined;
  }
  // Names know no case; metadata does.
  if (longKind === "kv._metadata")
    return where(({ metadata }) =>
      Object.entries(metadata).some(([key, value]) => key.toLowerCase() === second && value.toLowerCase() === first),
    );
  return undefined;
}

const addresses = (machines: readonly NamedMachine[]): string[] => machines.map(({ privateIp }) => privateIp);

const vms = (machines: readonly NamedMachine[]): string =>
  machines.map(({ id, region }) => `${id} ${region}`).join(",");

const regions = (machines: readonly NamedMachine[]): string =>
  [...new Set(machines.map(({ region }) => region))].toSorted().join(",");

const instances = (machines: readonly NamedMachine[]): string =>
  machines
    .map(({ id, app, privateIp, region }) => `instance=${id},app=${app},ip=${privateIp},region=${region}`)
    .join(";");

/** Machines of one region keep their order. */
function nearest(machines: readonly NamedMachine[], from: string): NamedMachine[] {
  const km = new Map(machines.map(({ region }) => [region, distanceKm(from, region)]));
  return machines.toSorted((a, b) => {
    const [near, far] = [km.get(a.region) ?? 0, km.get(b.region) ?? 0];
    return near === far ? 0 : near - far; // two unknown places are both infinitely far, and their difference is NaN
  });
}
