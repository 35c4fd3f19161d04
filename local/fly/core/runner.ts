import type { Check, ImageRef, MachineConfig } from "../../../fly/wire.ts";

/**
 * What runs machines under the Machines API server. The server owns the rules: states, versions, restart policy, check schedules,
 * leases, events. A runner only starts and stops things, and tells what happened to them. `docker` runs containers, `state` rows.
 */
export interface Runner {
  readonly kind: "docker" | "state";

  /** In every address of its private networks: no other runner beside it has the same one. */
  readonly networkGroup: number;

  /** Resolves a reference to a digest and has the image at hand. Rejects with RunnerError "pull". */
  pull(image: string): Promise<ImageRef & { digest: string }>;

  /** Boots one version of a machine; its root file system is fresh. Rejects with RunnerError "start". */
  start(instance: Instance): Promise<void>;

  /**
   * Asks a running machine to end: `signal`, after `timeoutMs` SIGTERM, then SIGKILL. Resolves when it is gone; `onExit` has been called by then.
   * A machine that does not run resolves at once.
   */
  stop(machineId: string, how: { signal: string; timeoutMs: number }): Promise<void>;

  /** Freezes and thaws a running machine with its memory. */
  suspend(machineId: string): Promise<void>;
  resume(machineId: string): Promise<void>;

  signal(machineId: string, signal: string): Promise<void>;
  exec(machineId: string, command: string[], how: { timeoutMs: number; stdin?: string }): Promise<ExecResult>;
  ps(machineId: string): Promise<Process[]>;

  /** One probe of a check against a running machine. Never rejects for an unhealthy machine. */
  probe(machineId: string, check: Check): Promise<ProbeResult>;

  /** Where, on this machine, the given TCP port of a running machine is reached; undefined when it is not. */
  dial(machineId: string, port: number): { host: string; port: number } | undefined;

  /**
   * Output of the current or last instance, oldest first; `follow` keeps going until the caller stops reading. `timestamps`: in front of each line
   * its time and a blank, RFC 3339 with nine digits of a second, so that texts sort as times do. `since`: seconds since the epoch.
   */
  logs(machineId: string, how: { follow: boolean; timestamps?: boolean; since?: number }): AsyncIterable<string>;

  /** Forgets a machine: whatever runs is killed, nothing of it is left. */
  remove(machineId: string): Promise<void>;

  createVolume(volume: VolumeSpec): Promise<void>;
  extendVolume(volumeId: string, sizeGb: number): Promise<void>;
  removeVolume(volumeId: string): Promise<void>;

  /** After a restart of the server: what still runs. Everything that is not in `known` and has this server's mark is removed. */
  reconcile(known: Instance[]): Promise<{ running: string[] }>;

  /** Called once for every instance that ends, for any reason. Set by the server before anything starts. */
  onExit: (machineId: string, exit: Exit) => void;

  /**
   * Answers what a machine asks the name server of its private network. `message`: a DNS message; the answer is one, or "elsewhere" for
   * names the runner has the engine's own servers answer, or undefined for none. Set by the server before anything starts.
   */
  onQuestion: (message: Buffer, from: { address: string; tcp: boolean }) => Buffer | "elsewhere" | undefined;

  close(): Promise<void>;
}

/** One version of one machine, complete. */
export interface Instance {
  machineId: string;
  /** `instance_id`, ULID. */
  version: string;
  name: string;
  app: string;
  region: string;
  /** As rendered, `image` pinned by digest. */
  config: MachineConfig;
  /** FLY_* and the app's secrets, over `config.env`. */
  env: Record<string, string>;
  /** `config.files` with app secrets resolved: absolute path, bytes, permission bits. */
  files: { path: string; content: Buffer; mode: number }[];
  /** On its private network. Empty: it has none, in tests of a runner. */
  privateIp: string;
}

export interface VolumeSpec {
  id: string;
  name: string;
  app: string;
  region: string;
  sizeGb: number;
}

export interface Exit {
  exitCode: number;
  /** 0 when none. */
  signal: number;
  oomKilled: boolean;
  /** Milliseconds since the epoch. */
  at: number;
}

export interface ExecResult {
  exitCode: number;
  exitSignal?: number;
  stdout: string;
  stderr: string;
}

export interface Process {
  pid: number;
  command: string;
  cpu: number;
  /** Resident bytes. */
  rss: number;
  rtime: number;
  stime: number;
  directory: string;
}

export interface ProbeResult {
  passing: boolean;
  /** What the check saw, as Fly shows it: first bytes of a body, or why it could not connect. */
  output: string;
}

/** `code` says what kind of failure; the message is for people. */
export class RunnerError extends Error {
  readonly code: "pull" | "start" | "not-running" | "engine";
  constructor(code: RunnerError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "RunnerError";
    this.code = code;
  }
}
