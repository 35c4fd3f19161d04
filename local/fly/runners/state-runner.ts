/**
 * A runner without containers: machines are rows, time is the clock's, and a script says how an image or a machine behaves.
 * Not modelled: files, network, output but for what a script says at each boot; `dial` leads nowhere.
 */
import { createHash } from "node:crypto";
import type { Check } from "../../../fly/wire.ts";
import type { Clock } from "../../../lib/clock.ts";
import { parseImage } from "../core/image-ref.ts";
import {
  type ExecResult,
  type Exit,
  type Instance,
  type ProbeResult,
  type Runner,
  RunnerError,
} from "../core/runner.ts";

/** How an instance behaves. What is not said is well-behaved and quick. */
export interface Behaviour {
  /** Milliseconds the image takes to arrive. Default 200. */
  pullMs: number;
  /** `fails`: there is no such image; `hangs`: it never arrives. */
  pull: "works" | "fails" | "hangs";
  /** Milliseconds from asking to running. Default 500. */
  bootMs: number;
  /** `fails`: the machine does not come up at all. */
  boot: "works" | "fails";
  /** Milliseconds to end after a signal it heeds. Default 100. */
  stopMs: number;
  /** Only SIGKILL ends it. */
  ignoresSignals: boolean;
  /** Ends on its own some time after the boot, so often (default: after every boot). */
  exits: { afterMs: number; exitCode: number; signal?: number; oomKilled?: boolean; times?: number } | undefined;
  /** What a check sees, given milliseconds since the boot. Default: passing. */
  check: (check: Check, upMs: number, instance: Instance) => ProbeResult | "hangs";
  exec: (command: string[], stdin: string | undefined, instance: Instance) => ExecResult;
  /** Lines it writes when it has booted. Default none. */
  says: readonly (string | { afterMs: number; line: string })[];
}

const wellBehaved: Behaviour = {
  pullMs: 200,
  pull: "works",
  bootMs: 500,
  boot: "works",
  stopMs: 100,
  ignoresSignals: false,
  exits: undefined,
  check: () => ({ passing: true, output: "200 OK" }),
  exec: () => ({ exitCode: 0, stdout: "", stderr: "" }),
  says: [],
};

export const failingCheck: Behaviour["check"] = () => ({ passing: false, output: "connect: connection refused" });
/** Fails until the instance has been up so long. */
export const passingAfter =
  (ms: number): Behaviour["check"] =>
  (_, upMs) =>
    upMs >= ms ? { passing: true, output: "200 OK" } : { passing: false, output: "connect: connection refused" };

interface Row {
  instance: Instance;
  phase: "booting" | "running" | "suspended" | "stopping";
  bootedAt: number;
  /** Ends the boot in flight, with the reason. */
  cancelBoot?: (why: RunnerError) => void;
  timers: Set<() => void>;
  gone: Set<() => void>;
}

export interface StateRunner extends Runner {
  /** Scripts every instance of an image, named as a config names it. Later words win; `undefined` takes the script back. */
  image(image: string, behaviour: Partial<Behaviour> | undefined): void;
  /** Scripts one machine, over what its image says. */
  machine(machineId: string, behaviour: Partial<Behaviour> | undefined): void;
  /** A running machine ends now, by itself. */
  crash(machineId: string, exit?: Partial<Exit>): void;
  /** Ids of machines that run, sorted. */
  running(): string[];
  /** What each machine was booted with, boots in order. */
  readonly boots: readonly Instance[];
  readonly volumes: ReadonlyMap<string, number>;
}

/** @param defaults what every instance does unless an image or machine is scripted otherwise */
export function createStateRunner(clock: Clock, defaults: Partial<Behaviour> = {}): StateRunner {
  const rows = new Map<string, Row>();
  const images = new Map<string, Partial<Behaviour>>();
  const machines = new Map<string, Partial<Behaviour>>();
  const exitsLeft = new Map<string, number>();
  const volumes = new Map<string, number>();
  const boots: Instance[] = [];
  const lastBoots = new Map<string, { instance: Instance; at: number }>();

  const behaviourOf = (digest: string | undefined, machineId?: string): Behaviour => ({
    ...wellBehaved,
    ...defaults,
    ...images.get(digest ?? ""),
    ...machines.get(machineId ?? ""),
  });
  const of = (instance: Instance) => behaviourOf(instance.config.image?.split("@")[1], instance.machineId);

  function end(row: Row, exit: Omit<Exit, "at">): void {
    if (rows.get(row.instance.machineId) !== row) return;
    rows.delete(row.instance.machineId);
    for (const cancel of row.timers) cancel();
    runner.onExit(row.instance.machineId, { ...exit, at: clock.now() });
    for (const tell of row.gone) tell();
  }

  const later = (row: Row, ms: number, run: () => void) => {
    const cancel = clock.after(ms, () => {
      row.timers.delete(cancel);
      run();
    });
    row.timers.add(cancel);
  };

  function scheduleExit(row: Row): void {
    const { exits } = of(row.instance);
    if (!exits) return;
    const key = `${row.instance.machineId} ${row.instance.config.image}`;
    const left = exitsLeft.get(key) ?? exits.times ?? Number.POSITIVE_INFINITY;
    if (left <= 0) return;
    exitsLeft.set(key, left - 1);
    later(row, exits.afterMs, () =>
      end(row, { exitCode: exits.exitCode, signal: exits.signal ?? 0, oomKilled: exits.oomKilled ?? false }),
    );
  }

  const runningRow = (machineId: string): Row => {
    const row = rows.get(machineId);
    if (row?.phase !== "running") throw new RunnerError("not-running", `machine ${machineId} not running`);
    return row;
  };

  const runner: StateRunner = {
    kind: "state",
    networkGroup: 0,
    onExit: () => {},
    onQuestion: () => undefined,
    boots,
    volumes,
    image: (image, behaviour) => put(images, digestOf(image), behaviour),
    machine: (machineId, behaviour) => put(machines, machineId, behaviour),
    crash(machineId, exit = {}) {
      end(runningRow(machineId), { exitCode: 1, signal: 0, oomKilled: false, ...exit });
    },
    running: () =>
      [...rows]
        .filter(([, row]) => row.phase === "running")
        .map(([id]) => id)
        .sort(),

    pull(image) {
      const digest = digestOf(image);
      const { pullMs, pull } = behaviourOf(digest);
      return new Promise((resolve, reject) => {
        if (pull === "hangs") return;
        clock.after(pullMs, () =>
          pull === "fails"
            ? reject(new RunnerError("pull", `${image}: manifest unknown`))
            : resolve({ ...parseImage(image), digest }),
        );
      });
    },

    start(instance) {
      const { bootMs, boot } = of(instance);
      // A boot that an earlier server began and could not follow.
      rows.get(instance.machineId)?.cancelBoot?.(new RunnerError("start", "booted again"));
      const row: Row = { instance, phase: "booting", bootedAt: 0, timers: new Set(), gone: new Set() };
      rows.set(instance.machineId, row);
      boots.push(instance);
      return new Promise((resolve, reject) => {
        row.cancelBoot = (why) => {
          rows.delete(instance.machineId);
          for (const cancel of row.timers) cancel();
          for (const tell of row.gone) tell();
          reject(why);
        };
        later(row, bootMs, () => {
          if (boot === "fails") return row.cancelBoot?.(new RunnerError("start", "init could not be started"));
          delete row.cancelBoot;
          row.phase = "running";
          row.bootedAt = clock.now();
          lastBoots.set(instance.machineId, { instance, at: row.bootedAt });
          scheduleExit(row);
          resolve();
        });
      });
    },

    stop(machineId, { signal, timeoutMs }) {
      const row = rows.get(machineId);
      if (!row) return Promise.resolve();
      if (row.cancelBoot) {
        row.cancelBoot(new RunnerError("start", "stopped while it booted"));
        return Promise.resolve();
      }
      const { stopMs, ignoresSignals } = of(row.instance);
      const killed = signal === "SIGKILL" || row.phase === "suspended";
      const gone = new Promise<void>((resolve) => row.gone.add(resolve));
      row.phase = "stopping";
      const deaf = ignoresSignals || stopMs > timeoutMs;
      if (killed) end(row, { exitCode: 137, signal: 9, oomKilled: false });
      else if (deaf) later(row, timeoutMs, () => end(row, { exitCode: 137, signal: 9, oomKilled: false }));
      else later(row, stopMs, () => end(row, { exitCode: 0, signal: 0, oomKilled: false }));
      return gone;
    },

    async suspend(machineId) {
      const row = runningRow(machineId);
      row.phase = "suspended";
      // Its own time stops: it does nothing that it would have done.
      for (const cancel of row.timers) cancel();
      row.timers.clear();
    },
    async resume(machineId) {
      const row = rows.get(machineId);
      if (row?.phase !== "suspended") throw new RunnerError("not-running", `machine ${machineId} is not suspended`);
      row.phase = "running";
    },
    async signal(machineId, signal) {
      const row = runningRow(machineId);
      if (signal === "SIGKILL") end(row, { exitCode: 137, signal: 9, oomKilled: false });
    },
    async exec(machineId, command, { stdin }) {
      const { instance } = runningRow(machineId);
      return of(instance).exec(command, stdin, instance);
    },
    async ps(machineId) {
      runningRow(machineId);
      return [{ pid: 1, command: "init", cpu: 0, rss: 1 << 20, rtime: 0, stime: 0, directory: "/" }];
    },
    probe(machineId, check) {
      const row = rows.get(machineId);
      if (row?.phase !== "running") return Promise.resolve({ passing: false, output: "connect: no route to host" });
      const seen = of(row.instance).check(check, clock.now() - row.bootedAt, row.instance);
      return seen === "hangs" ? new Promise(() => {}) : Promise.resolve(seen);
    },
    // Documentation address: no test may send anything there, but the edge's choice of machines can be read.
    dial: (machineId, port) => (rows.get(machineId)?.phase === "running" ? { host: "192.0.2.1", port } : undefined),
    async *logs(machineId, { timestamps = false, since = 0 }) {
      const last = lastBoots.get(machineId);
      if (!last) return;
      for (const [index, said] of of(last.instance).says.entries()) {
        const { afterMs, line } = typeof said === "string" ? { afterMs: 0, line: said } : said;
        const at = last.at + afterMs;
        if (at < since * 1000 || at > clock.now()) continue;
        // No two lines of a machine have one time: that is what a token is.
        const nanos = String(index % 1_000_000).padStart(6, "0");
        yield timestamps ? `${new Date(at).toISOString().replace("Z", `${nanos}Z`)} ${line}` : line;
      }
    },
    async remove(machineId) {
      const row = rows.get(machineId);
      if (!row) return;
      if (row.cancelBoot) row.cancelBoot(new RunnerError("start", "removed while it booted"));
      else end(row, { exitCode: 137, signal: 9, oomKilled: false });
    },

    async createVolume({ id, sizeGb }) {
      volumes.set(id, sizeGb);
    },
    async extendVolume(volumeId, sizeGb) {
      volumes.set(volumeId, sizeGb);
    },
    async removeVolume(volumeId) {
      volumes.delete(volumeId);
    },

    async reconcile(known) {
      const versions = new Map(known.map((it) => [it.machineId, it.version]));
      for (const [id, row] of [...rows]) if (versions.get(id) !== row.instance.version) await runner.remove(id);
      return { running: runner.running() };
    },
    async close() {
      for (const row of rows.values()) for (const cancel of row.timers) cancel();
      rows.clear();
    },
  };
  return runner;
}

/** Made from the name: the same reference has the same digest in every run, and a script finds its image again by it. */
export function digestOf(image: string): string {
  const { registry, repository, tag, digest } = parseImage(image);
  return digest ?? `sha256:${createHash("sha256").update(`${registry}/${repository}:${tag}`).digest("hex")}`;
}

function put<T>(map: Map<string, T>, key: string, value: T | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}
