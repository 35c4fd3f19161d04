/** One operation a machine at a time: a newer one takes over from an older, which notices at its next step and stops there. */
import type { Core } from "../core/core.ts";
import type { MachineRow, MachineState, Operation } from "../core/fly-state.ts";
import { record } from "./events.ts";

export interface Operations {
  /** Runs the steps of an operation. Once `alive` is false another one took over: touch nothing then. */
  begin(machine: MachineRow, operation: Operation, work: (alive: () => boolean) => Promise<void>): void;
  /** Operations in progress no longer matter. */
  end(machine: MachineRow): void;
  enter(machine: MachineRow, state: MachineState): void;
}

export function createOperations(core: Core): Operations {
  const steps = new Map<string, symbol>();

  const end = (machine: MachineRow) => {
    steps.delete(machine.id);
    delete machine.operation;
  };
  const enter = (machine: MachineRow, state: MachineState) => {
    machine.state = state;
    core.changed(machine);
  };

  return {
    end,
    enter,
    begin(machine, operation, work) {
      const step = Symbol(operation.kind);
      steps.set(machine.id, step);
      machine.operation = operation;
      const alive = () => steps.get(machine.id) === step && !core.closed;
      core.changed(machine);
      work(alive)
        .catch((error: unknown) => {
          // The runner broke where the rules know no answer: the machine is failed, and its events say why.
          if (!alive()) return;
          const request = { error: String(error) };
          record(core, machine, { type: operation.kind, status: "failed", source: "flyd", request });
          enter(machine, "failed");
        })
        .finally(() => {
          if (!alive()) return;
          end(machine);
          core.changed(machine);
        });
    },
  };
}
