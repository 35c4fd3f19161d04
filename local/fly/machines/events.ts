import type { Core } from "../core/core.ts";
import type { EventRow, MachineRow } from "../core/fly-state.ts";
import type { Exit } from "../core/runner.ts";

/** Fly keeps no more of them. */
const kept = 20;

/** Puts an event in front of the machine's others. The caller tells `changed` when its whole step is done. */
export function record(
  core: Core,
  machine: MachineRow,
  event: Pick<EventRow, "type" | "status" | "source" | "request">,
): void {
  machine.events.unshift({ id: core.ids.ulid(), timestamp: core.clock.now(), ...event });
  machine.updatedAt = core.clock.now();
  machine.events.length = Math.min(machine.events.length, kept);
}

export function recordExit(
  core: Core,
  machine: MachineRow,
  exit: Exit,
  how: { requestedStop: boolean; restarting: boolean; error?: string },
): void {
  record(core, machine, {
    type: "exit",
    status: "stopped",
    source: "flyd",
    request: {
      exit_event: {
        exit_code: exit.exitCode,
        guest_exit_code: exit.exitCode,
        guest_signal: exit.signal === 0 ? -1 : exit.signal,
        signal: exit.signal === 0 ? -1 : exit.signal,
        oom_killed: exit.oomKilled,
        requested_stop: how.requestedStop,
        restarting: how.restarting,
        exited_at: new Date(exit.at).toISOString(),
        ...(how.error === undefined ? {} : { error: how.error }),
      },
      restart_count: machine.restartCount,
    },
  });
}

/** As the wire has it: `request` is null where there is none. */
export const renderEvent = (event: EventRow) => ({
  id: event.id,
  type: event.type,
  status: event.status,
  source: event.source,
  timestamp: event.timestamp,
  request: event.request ?? null,
});
