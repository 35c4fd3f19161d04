/**
 * All that local Fly remembers: plain JSON, so that a store can write it and a test can read it. Times are milliseconds since the epoch;
 * nothing in here is a timer, a promise or a handle.
 */
import type { ImageRef, MachineConfig } from "../../../fly/wire.ts";

export interface FlyState {
  schemaVersion: 1;
  apps: Record<string, AppRow>;
  machines: Record<string, MachineRow>;
  volumes: Record<string, VolumeRow>;
  addresses: AddressRow[];
  /** Zones without room for one more machine or volume. */
  fullZones: string[];
  /** Hosts that do not answer: reads still do, verbs fail. */
  unreachableZones: string[];
  /** Makes numeric ids of apps and networks. */
  counter: number;
}

export interface AppRow {
  id: string;
  number: number;
  name: string;
  organization: string;
  network: string;
  /** Of the private network the app is on, in every address of it. */
  networkNumber: number;
  createdAt: number;
  /** Any machine ever made: status `deployed` from then on. */
  deployed: boolean;
  /** What was set when, oldest first; a version of a machine keeps seeing the secrets it was made with. */
  secrets: SecretChange[];
  /** flyctl's book of its deploys, oldest first. */
  releases?: ReleaseRow[];
}

export interface ReleaseRow {
  id: string;
  version: number;
  status: string;
  image: string;
  strategy: string;
  /** The app's config, as flyctl sent it. */
  definition: unknown;
  createdAt: number;
}

export interface SecretChange {
  version: number;
  name: string;
  /** null: removed. */
  value: string | null;
  at: number;
}

export const lastingStates = ["created", "started", "stopped", "suspended", "failed", "destroyed"] as const;
export const passingStates = [
  "starting",
  "stopping",
  "restarting",
  "suspending",
  "updating",
  "replacing",
  "destroying",
  "launch_failed",
] as const;
export type MachineState = (typeof lastingStates)[number] | (typeof passingStates)[number];

export interface MachineRow {
  id: string;
  app: string;
  name: string;
  region: string;
  /** Its host. */
  zone: string;
  state: MachineState;
  /** `instance_id` of the newest version. */
  version: string;
  /** Oldest first. */
  versions: VersionRow[];
  privateIp: string;
  cordoned: boolean;
  createdAt: number;
  updatedAt: number;
  lease?: LeaseRow;
  /** Newest first, the last 20. */
  events: EventRow[];
  checks: CheckRow[];
  /** Those of the instance before, and when they ceased to be true; the API may show them for a while (quirk `staleChecksMs`). */
  formerChecks?: { rows: CheckRow[]; at: number };
  /** When the restart policy started it again, oldest first: it counts those of the last minutes. */
  restarts: number[];
  restartCount: number;
  /** Version of the instance that runs and takes traffic; null from the moment its end begins. During a replacement first the old one. */
  runs: string | null;
  /** When the running instance booted. */
  bootedAt?: number;
  /** What is under way. A server that starts again takes it up where it stood. */
  operation?: Operation;
  destroyedAt?: number;
}

export type Operation =
  | { kind: "launch"; skipLaunch: boolean }
  | { kind: "start"; resume: boolean }
  | { kind: "stop"; signal: string; timeoutMs: number }
  | { kind: "suspend" }
  | { kind: "restart"; signal: string; timeoutMs: number }
  | { kind: "replace"; previous: string; previousState: MachineState; wasToRun: boolean; launch: boolean }
  | { kind: "retry" }
  | { kind: "destroy" };

export interface VersionRow {
  version: string;
  /** As the client sent it. */
  received: MachineConfig;
  /** As Fly answers it. */
  rendered: MachineConfig;
  imageRef: ImageRef;
  /** The app's secrets as of this version are what it sees. 0: none. */
  secretsVersion: number;
  createdAt: number;
}

export interface LeaseRow {
  nonce: string;
  owner: string;
  description: string;
  expiresAt: number;
}

export interface EventRow {
  id: string;
  type: string;
  status: string;
  source: "user" | "flyd" | "fly-proxy";
  timestamp: number;
  request?: Record<string, unknown>;
}

export interface CheckRow {
  name: string;
  status: "passing" | "warning" | "critical";
  output: string;
  updatedAt: number;
  /** Decides whether the edge sends traffic here. */
  routing: boolean;
}

export type VolumeState = "created" | "pending_destroy";

export interface VolumeRow {
  id: string;
  app: string;
  name: string;
  state: VolumeState;
  region: string;
  zone: string;
  sizeGb: number;
  encrypted: boolean;
  /** Empty until a machine mounted it. */
  fstype: string;
  /** GB the file system has while that is less than the volume's: it grows at the next boot of its machine. */
  fileSystemGb?: number;
  /** It reads as ever, and no machine can mount it. */
  wedged?: boolean;
  snapshotRetention: number;
  autoBackup: boolean;
  attachedMachine: string | null;
  /** The machine it belonged to last. */
  released?: { machine: string; at: number };
  createdAt: number;
  deletedAt?: number;
  snapshots: SnapshotRow[];
}

export interface SnapshotRow {
  id: string;
  createdAt: number;
  sizeGb: number;
  retentionDays: number;
}

export interface AddressRow {
  app: string;
  type: string;
  ip: string;
  region: string;
  createdAt: number;
  serviceName: string;
  /** Of a private address; null on public ones. */
  network: { name: string; organization: string } | null;
}

export const emptyFlyState = (): FlyState => ({
  schemaVersion: 1,
  apps: {},
  machines: {},
  volumes: {},
  addresses: [],
  fullZones: [],
  unreachableZones: [],
  counter: 0,
});

/** The version a machine runs or would run. */
export const currentVersion = (machine: MachineRow): VersionRow => versionOf(machine, machine.version);

export function versionOf(machine: MachineRow, version: string): VersionRow {
  const found = machine.versions.find((it) => it.version === version);
  if (!found) throw new Error(`machine ${machine.id} has no version ${version}`);
  return found;
}

/** Left every passing state, nothing under way. */
export const isSettled = (machine: MachineRow): boolean =>
  machine.operation === undefined && (lastingStates as readonly string[]).includes(machine.state);

export const rfc3339 = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");

export const secretsVersion = (app: AppRow): number => app.secrets.at(-1)?.version ?? 0;

/** Names and values as they stood at a version. */
export function secretsAt(app: AppRow, version: number): Record<string, string> {
  const values: Record<string, string> = {};
  for (const change of app.secrets) {
    if (change.version > version) break;
    if (change.value === null) delete values[change.name];
    else values[change.name] = change.value;
  }
  return values;
}
