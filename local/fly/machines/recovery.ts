/** After a restart of the server: machines kept running, and operations in progress are continued. */
import type { Core } from "../core/core.ts";
import type { MachineRow, Operation } from "../core/fly-state.ts";
import type { Lifecycle } from "./lifecycle.ts";

/** What the host's going down looks like to the restart policy: any other end by force. */
const hostWentDown = { exitCode: 137, signal: 9, oomKilled: false };

/** @param running ids of the machines that run, as the runner found them */
export function recover(core: Core, lifecycle: Lifecycle, running: ReadonlySet<string>): void {
  for (const machine of Object.values(core.flyState.machines)) {
    const runs = running.has(machine.id);
    if (machine.operation) carryOn(lifecycle, machine, machine.operation, runs);
    else if (machine.state === "started" && runs) lifecycle.watch(machine);
    else if (machine.state === "started") lifecycle.exited(machine, { ...hostWentDown, at: core.clock.now() });
    else if (machine.state === "stopped" && runs) lifecycle.stop(machine, { signal: "SIGKILL", timeoutMs: 0 });
  }
}

function carryOn(lifecycle: Lifecycle, machine: MachineRow, operation: Operation, runs: boolean) {
  const ran = machine.runs;
  machine.runs = runs ? (ran ?? machine.version) : null;
  // It came up after the last word was written down: what was under way is done.
  const cameUp = runs && ran === null;
  switch (operation.kind) {
    case "launch":
      return cameUp ? lifecycle.adopt(machine) : lifecycle.launch(machine, operation.skipLaunch);
    case "start":
      if (cameUp && !operation.resume) return lifecycle.adopt(machine);
      if (operation.resume) machine.state = "suspended";
      return lifecycle.start(machine);
    case "retry":
      return cameUp ? lifecycle.adopt(machine) : lifecycle.retry(machine);
    case "stop":
      return lifecycle.stop(machine, operation);
    case "suspend":
      return lifecycle.suspend(machine);
    case "restart":
      return cameUp ? lifecycle.adopt(machine) : lifecycle.restart(machine, operation);
    case "replace":
      return cameUp ? lifecycle.adopt(machine) : lifecycle.carryOn(machine, operation);
    case "destroy":
      return lifecycle.destroy(machine);
    default:
      operation satisfies never;
  }
}
