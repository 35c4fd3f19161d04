/**
 * The life of a machine after a call was accepted: launch, stops, replacements, exits. Drives the runner and writes down what became of it;
 * the routes decide whether a verb is allowed.
 */
import { sleep } from "../../../lib/clock.ts";
import type { Core } from "../core/core.ts";
import { currentVersion, type MachineRow, type MachineState, type Operation, versionOf } from "../core/fly-state.ts";
import type { Exit } from "../core/runner.ts";
import { createChecks } from "./checks.ts";
import { record, recordExit } from "./events.ts";
import { createInstances } from "./instances.ts";
import { createOperations } from "./operations.ts";
import { restartDelayMs, restarts, windowMs } from "./restart-policy.ts";
import { stopHow } from "./stop-config.ts";

export interface StopHow {
  signal: string;
  timeoutMs: number;
}

export type Replacement = Extract<Operation, { kind: "replace" }>;

export interface Lifecycle {
  /** First boot, after the image is there; with `skipLaunch` the machine rests stopped instead. */
  launch(machine: MachineRow, skipLaunch: boolean): void;
  start(machine: MachineRow): void;
  stop(machine: MachineRow, how: StopHow): void;
  suspend(machine: MachineRow): void;
  restart(machine: MachineRow, how: StopHow): void;
  /** The newest version takes over from `previous`; it stays stopped if the machine was, or `launch` is false. */
  replace(machine: MachineRow, previous: string, launch: boolean): void;
  destroy(machine: MachineRow, source?: "user" | "flyd"): void;
  /** Forgets what is under way: the machine's row is about to go. */
  abandon(machine: MachineRow): Promise<void>;

  // What only recovery.ts calls.
  carryOn(machine: MachineRow, replacement: Replacement): void;
  retry(machine: MachineRow): void;
  exited(machine: MachineRow, exit: Exit): void;
  /** It runs: nothing is under way any more. */
  adopt(machine: MachineRow): void;
  watch(machine: MachineRow): void;
}

/** An update leaves a machine stopped that was in one of these. */
const asleep: readonly MachineState[] = ["stopped", "suspended", "failed", "created"];

export function createLifecycle(core: Core): Lifecycle {
  const { runner, flyState, clock } = core;
  const { begin, end, enter } = createOperations(core);
  const checks = createChecks(core);
  const instances = createInstances(core, checks);

  runner.onExit = (machineId, exit) => {
    const machine = flyState.machines[machineId];
    if (machine && !core.closed) exited(machine, exit);
  };

  async function boot(machine: MachineRow, alive: () => boolean): Promise<void> {
    enter(machine, "starting");
    checks.reset(machine);
    try {
      await instances.boot(machine);
    } catch (error) {
      // As on Fly, where an init that cannot start its program exits: the restart policy has its say.
      const exit = { exitCode: 128, signal: 0, oomKilled: false, at: clock.now() };
      if (alive()) exited(machine, exit, String(error));
      return;
    }
    if (alive()) isUp(machine);
  }

  function isUp(machine: MachineRow): void {
    machine.runs = machine.version;
    machine.bootedAt = clock.now();
    for (const volume of Object.values(flyState.volumes))
      if (volume.attachedMachine === machine.id) delete volume.fileSystemGb;
    record(core, machine, { type: "start", status: "started", source: "flyd" });
    enter(machine, "started");
    checks.start(machine);
  }

  const stopInstance = (machine: MachineRow, how: StopHow) =>
    instances.halt(machine, () => runner.stop(machine.id, how));

  function launch(machine: MachineRow, skipLaunch: boolean): void {
    begin(machine, { kind: "launch", skipLaunch }, async (alive) => {
      try {
        await instances.pull(machine);
      } catch (error) {
        if (!alive()) return;
        const request = { error: String(error) };
        record(core, machine, { type: "launch", status: "failed", source: "flyd", request });
        return enter(machine, "failed");
      }
      if (!alive()) return;
      if (skipLaunch) return enter(machine, "stopped");
      await boot(machine, alive);
    });
  }

  function start(machine: MachineRow): void {
    const resume = machine.state === "suspended";
    begin(machine, { kind: "start", resume }, async (alive) => {
      record(core, machine, { type: "start", status: "starting", source: "user" });
      if (!resume) return boot(machine, alive);
      enter(machine, "starting");
      await runner.resume(machine.id);
      if (alive()) isUp(machine);
    });
  }

  function stop(machine: MachineRow, how: StopHow): void {
    begin(machine, { kind: "stop", ...how }, async (alive) => {
      record(core, machine, { type: "stop", status: "stopping", source: "user" });
      enter(machine, "stopping");
      await stopInstance(machine, how);
      if (!alive()) return;
      if (currentVersion(machine).rendered.auto_destroy) return destroy(machine, "flyd");
      enter(machine, "stopped");
    });
  }

  function suspend(machine: MachineRow): void {
    begin(machine, { kind: "suspend" }, async (alive) => {
      record(core, machine, { type: "suspend", status: "suspending", source: "user" });
      checks.stop(machine);
      machine.runs = null;
      enter(machine, "suspending");
      await runner.suspend(machine.id);
      if (alive()) enter(machine, "suspended");
    });
  }

  function restart(machine: MachineRow, how: StopHow): void {
    begin(machine, { kind: "restart", ...how }, async (alive) => {
      record(core, machine, { type: "restart", status: "restarting", source: "user" });
      enter(machine, "restarting");
      await stopInstance(machine, how);
      if (alive()) await boot(machine, alive);
    });
  }

  function replace(machine: MachineRow, previous: string, launchAllowed: boolean): void {
    const { state: previousState, operation } = machine;
    const wasToRun = !asleep.includes(previousState) || (operation?.kind === "launch" && !operation.skipLaunch);
    carryOn(machine, { kind: "replace", previous, previousState, wasToRun, launch: launchAllowed && wasToRun });
  }

  function carryOn(machine: MachineRow, replacement: Replacement): void {
    begin(machine, replacement, async (alive) => {
      record(core, machine, { type: "update", status: "replacing", source: "user" });
      enter(machine, "replacing");
      try {
        await instances.pull(machine);
      } catch (error) {
        if (alive()) await revert(machine, replacement, alive, error);
        return;
      }
      if (!alive()) return;
      await stopInstance(machine, stopHow(versionOf(machine, replacement.previous).rendered));
      if (!alive()) return;
      machine.restarts = [];
      machine.restartCount = 0;
      if (replacement.launch) return boot(machine, alive);
      checks.reset(machine);
      enter(machine, "stopped");
    });
  }

  /** Without its image a version fails: the one before it stays, or is started again if it has ended in between. */
  async function revert(
    machine: MachineRow,
    { previous, previousState, wasToRun }: Replacement,
    alive: () => boolean,
    error: unknown,
  ): Promise<void> {
    machine.version = previous;
    const request = { error: String(error) };
    record(core, machine, { type: "update", status: "failed", source: "flyd", request });
    if (!wasToRun) return enter(machine, previousState);
    if (machine.runs !== null) return enter(machine, "started");
    await instances.pull(machine);
    if (alive()) await boot(machine, alive);
  }

  function destroy(machine: MachineRow, source: "user" | "flyd" = "user"): void {
    begin(machine, { kind: "destroy" }, async (alive) => {
      record(core, machine, { type: "destroy", status: "destroying", source });
      enter(machine, "destroying");
      await instances.halt(machine, () => runner.remove(machine.id));
      const { destroyingMs } = core.settings.quirks;
      if (destroyingMs > 0) await sleep(clock, destroyingMs);
      if (!alive()) return;
      for (const volume of Object.values(flyState.volumes)) {
        if (volume.attachedMachine !== machine.id) continue;
        volume.attachedMachine = null;
        volume.released = { machine: machine.id, at: clock.now() };
      }
      delete machine.lease;
      machine.checks = [];
      machine.destroyedAt = clock.now();
      record(core, machine, { type: "destroy", status: "destroyed", source: "flyd" });
      enter(machine, "destroyed");
    });
  }

  function exited(machine: MachineRow, exit: Exit, error?: string): void {
    checks.stop(machine);
    machine.runs = null;
    const why = error === undefined ? {} : { error };
    const kind = machine.operation?.kind;
    // While a restart or replacement boots the new instance, an end is the new one's own; before that it is the old one's, as asked.
    const oldOneEnds = (kind === "restart" || kind === "replace") && machine.state !== "starting";
    if (kind === "stop" || kind === "destroy" || oldOneEnds) {
      // On Fly the end of a replaced instance looks as if it had not been asked for.
      recordExit(core, machine, exit, { requestedStop: kind !== "replace", restarting: oldOneEnds, ...why });
      core.changed(machine);
      return;
    }
    const { restart: policy, auto_destroy } = currentVersion(machine).rendered;
    const again = !auto_destroy && restarts(policy, exit, machine.restarts, clock.now());
    if (again) {
      machine.restarts = [...machine.restarts.filter((at) => clock.now() - at < windowMs), clock.now()];
      machine.restartCount++;
    }
    recordExit(core, machine, exit, { requestedStop: false, restarting: again, ...why });
    if (auto_destroy) destroy(machine, "flyd");
    else if (again) retry(machine);
    else {
      end(machine);
      enter(machine, "stopped");
    }
  }

  function retry(machine: MachineRow): void {
    begin(machine, { kind: "retry" }, async (alive) => {
      enter(machine, "starting");
      await new Promise<void>((resolve) => clock.after(restartDelayMs, resolve));
      if (alive()) await boot(machine, alive);
    });
  }

  /** A boot under way would come up after it was removed: halt waits for that. */
  function abandon(machine: MachineRow): Promise<void> {
    end(machine);
    return instances.halt(machine, () => runner.remove(machine.id));
  }

  function adopt(machine: MachineRow): void {
    end(machine);
    isUp(machine);
  }

  return {
    launch,
    start,
    stop,
    suspend,
    restart,
    replace,
    destroy,
    abandon,
    carryOn,
    retry,
    exited,
    adopt,
    watch: checks.start,
  };
}
