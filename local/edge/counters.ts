/** Connections per machine: what concurrency limits are measured against, and what a status line shows. */
import type { Load } from "./choose.ts";

export interface MachineCount {
  machineId: string;
  /** Connections open now. */
  open: number;
  /** Connections ever given to it. */
  total: number;
  /** Bytes passed on to it and back, PROXY headers included, counted when a connection ends. */
  bytesIn: number;
  bytesOut: number;
  /** Dials that failed, so that the next machine was tried. */
  failedDials: number;
}

export class Counters {
  readonly #machines = new Map<string, MachineCount & Load>();
  #connections = 0;

  load(machineId: string): Load {
    return this.#machines.get(machineId) ?? { open: 0, lastUsed: 0 };
  }

  opened(machineId: string): void {
    const machine = this.#of(machineId);
    machine.open += 1;
    machine.total += 1;
    machine.lastUsed = this.#connections += 1;
  }

  closed(machineId: string, bytes: { in: number; out: number }): void {
    const machine = this.#of(machineId);
    machine.open -= 1;
    machine.bytesIn += bytes.in;
    machine.bytesOut += bytes.out;
  }

  /** The dial never became a connection: it counts as a failure, not in `total`. */
  failed(machineId: string): void {
    const machine = this.#of(machineId);
    machine.open -= 1;
    machine.total -= 1;
    machine.failedDials += 1;
  }

  all(): MachineCount[] {
    return [...this.#machines.values()].map(({ lastUsed: _, ...count }) => ({ ...count }));
  }

  #of(machineId: string): MachineCount & Load {
    let machine = this.#machines.get(machineId);
    if (!machine) {
      machine = { machineId, open: 0, total: 0, bytesIn: 0, bytesOut: 0, failedDials: 0, lastUsed: 0 };
      this.#machines.set(machineId, machine);
    }
    return machine;
  }
}
