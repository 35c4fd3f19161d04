/** What the directories of local Fly share: its state, its clock, and how a change of the state is announced. */
import type { Clock } from "../../../lib/clock.ts";
import type { AppRow, FlyState, MachineRow } from "./fly-state.ts";
import type { Ids } from "./ids.ts";
import type { PrivateNetwork } from "./private-network.ts";
import { noQuirks, type Quirks } from "./quirks.ts";
import type { Runner } from "./runner.ts";
import type { Store } from "./store.ts";

export interface Settings {
  /** Region of a machine or volume whose request names none: "near the caller". */
  defaultRegion: string;
  /** Fake hosts a region has; volumes of one name spread over them. */
  hostsPerRegion: number;
  /** `rawSlug`: the other name of a personal organization, whose slug is `personal`. Absent: it has one only. */
  organization: { slug: string; name: string; rawSlug?: string };
  /** Who the token belongs to, as leases name it. */
  owner: string;
  /** Regions that take nothing new. Absent: those the table has as deprecated. */
  closedRegions?: readonly string[];
  /** How long a destroyed machine still reads 200 `destroyed` before it is a 404. */
  destroyedReadsForMs: number;
  quirks: Quirks;
}

export const defaultSettings: Settings = {
  defaultRegion: "cdg",
  hostsPerRegion: 4,
  organization: { slug: "personal", name: "Personal" },
  owner: "3f1c7a52-5d0e-4b8a-9c41-2f6e8d90b7a1@tokens.fly.io",
  destroyedReadsForMs: 10 * 60_000,
  quirks: noQuirks,
};

export interface Core {
  readonly clock: Clock;
  readonly runner: Runner;
  readonly ids: Ids;
  readonly settings: Settings;
  readonly flyState: FlyState;
  /** After every change: the store is notified, waits on the machine check again, and the edge may read its routes again. */
  changed(machine?: MachineRow): void;
  /** Calls `look` after every change of the machine. Returns what ends it. */
  watch(machineId: string, look: () => void): () => void;
  /** Calls `look` after every change of anything. */
  watchAll(look: () => void): () => void;
  /** Writes what is not written yet. Before an answer leaves, what it says is on disk. Throws when the store does. */
  flush(): void;
  /** From now on no timer fires and nothing is written: a closed server never acts again. */
  close(): void;
  readonly closed: boolean;
}

/** The private network an app is on. */
export const networkOfApp = ({ runner }: Pick<Core, "runner">, app: AppRow): PrivateNetwork => ({
  group: runner.networkGroup,
  number: app.networkNumber,
});

export function createCore(parts: {
  clock: Clock;
  runner: Runner;
  ids: Ids;
  settings: Settings;
  store: Store;
  flyState: FlyState;
}): Core {
  const perMachine = new Map<string, Set<() => void>>();
  const everywhere = new Set<() => void>();
  let dirty = false;
  let scheduled = false;
  let closed = false;

  const clock: Clock = {
    now: () => parts.clock.now(),
    after: (ms, run) =>
      parts.clock.after(ms, () => {
        if (!closed) run();
      }),
  };
  const flush = () => {
    if (!dirty || closed) return;
    parts.store.save(parts.flyState);
    dirty = false;
  };
  const flushSoon = () => {
    scheduled = false;
    try {
      flush();
    } catch {
      // A full disk must not end the server: it stays unwritten, and the next answer, which writes first, says why.
    }
  };

  return {
    ...parts,
    clock,
    changed(machine) {
      if (closed) return;
      if (machine) for (const look of [...(perMachine.get(machine.id) ?? [])]) look();
      for (const look of [...everywhere]) look();
      dirty = true;
      if (scheduled) return;
      scheduled = true;
      queueMicrotask(flushSoon);
    },
    watch(machineId, look) {
      const looks = perMachine.get(machineId) ?? new Set();
      perMachine.set(machineId, looks.add(look));
      return () => {
        looks.delete(look);
        if (looks.size === 0) perMachine.delete(machineId);
      };
    },
    watchAll(look) {
      everywhere.add(look);
      return () => everywhere.delete(look);
    },
    flush,
    close() {
      try {
        flush();
      } finally {
        closed = true;
      }
    },
    get closed() {
      return closed;
    },
  };
}
