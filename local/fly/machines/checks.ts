/**
 * Health checks: named ones of the machine, and those of its services under Fly's made-up names. Scheduled by the clock, asked of the
 * runner, written into the machine's check rows. They steer routing; they never restart anything.
 */

import { parseDuration } from "../../../fly/durations.ts";
import type { Check, MachineConfig } from "../../../fly/wire.ts";
import type { Core } from "../core/core.ts";
import { type CheckRow, currentVersion, type MachineRow } from "../core/fly-state.ts";
import { noQuirks, type Quirks } from "../core/quirks.ts";
import type { ProbeResult } from "../core/runner.ts";

/** Fly's documents leave the defaults to flyctl, which writes these into a config. */
const defaults = { intervalMs: 15_000, timeoutMs: 2000, graceMs: 0 };
/** While a fresh machine is still in its grace period a check is asked at least so often, so that it serves as soon as it can. */
const eagerIntervalMs = 2000;
const firstProbeMs = 1000;
const notYet = "waiting for the first run of the check";

export interface PlannedCheck {
  name: string;
  check: Check;
  routing: boolean;
}

/**
 * Every check of a config with the name of its status row, in the order the rows have. Fly's name for a service's check says nothing of the service: two
 * services that have the same one have one row between them.
 */
export function plannedChecks(
  config: MachineConfig,
  { namedChecksOnlyWatch }: Pick<Quirks, "namedChecksOnlyWatch"> = noQuirks,
): PlannedCheck[] {
  const named = Object.entries(config.checks ?? {}).map(([name, check]) => ({
    name,
    check,
    routing: !namedChecksOnlyWatch && check.kind === "readiness",
  }));
  const ofServices = (config.services ?? []).flatMap((service) =>
    (service.checks ?? []).map((check, index) => {
      const port = check.port ?? service.internal_port ?? 0;
      const name = `servicecheck-${String(index).padStart(2, "0")}-${check.type ?? "tcp"}-${port}`;
      return { name, check: { ...check, port }, routing: true };
    }),
  );
  const unique = new Map([...named, ...ofServices].map((it) => [it.name, it]));
  return [...unique.values()];
}

export interface Checks {
  /** Rows of the current version, none run yet. */
  reset(machine: MachineRow): void;
  /** Begins to ask, right after a boot. */
  start(machine: MachineRow): void;
  stop(machine: MachineRow): void;
}

export function createChecks(core: Core): Checks {
  const { clock, runner } = core;
  const cancels = new Map<string, () => void>();
  const planned = (machine: MachineRow) => plannedChecks(currentVersion(machine).rendered, core.settings.quirks);

  function stop(machine: MachineRow): void {
    cancels.get(machine.id)?.();
    cancels.delete(machine.id);
  }

  function reset(machine: MachineRow): void {
    stop(machine);
    if (machine.checks.length > 0) machine.formerChecks = { rows: machine.checks, at: clock.now() };
    machine.checks = planned(machine).map(({ name, routing }) => ({
      name,
      routing,
      status: "critical",
      output: notYet,
      updatedAt: clock.now(),
    }));
  }

  function start(machine: MachineRow): void {
    stop(machine);
    const all = planned(machine);
    if (all.length === 0) return;
    let over = false;
    const timers = new Set<() => void>();
    const later = (ms: number, run: () => void) => {
      const cancel = clock.after(ms, () => {
        timers.delete(cancel);
        run();
      });
      timers.add(cancel);
      return () => {
        timers.delete(cancel);
        cancel();
      };
    };
    cancels.set(machine.id, () => {
      over = true;
      for (const cancel of timers) cancel();
    });

    for (const { name, check } of all) {
      const { intervalMs, timeoutMs, graceMs } = timing(check);
      const graceEnds = (machine.bootedAt ?? clock.now()) + graceMs;
      const row = machine.checks.find((it) => it.name === name);
      if (!row) continue;
      const inGrace = () => row.status !== "passing" && clock.now() < graceEnds;
      const ask = () => {
        const cancelTimeout = later(timeoutMs, () =>
          answer({ passing: false, output: `gave no answer within ${timeoutMs} ms` }),
        );
        let answered = false;
        const answer = (result: ProbeResult) => {
          if (answered || over) return;
          answered = true;
          cancelTimeout();
          // Within the grace period a failure says nothing yet.
          if (result.passing || !inGrace()) write(machine, row, result);
          later(inGrace() ? Math.min(intervalMs, eagerIntervalMs) : intervalMs, ask);
        };
        runner
          .probe(machine.id, check)
          .then(answer, (error: unknown) => answer({ passing: false, output: String(error) }));
      };
      later(Math.min(firstProbeMs, intervalMs), ask);
    }
  }

  function write(machine: MachineRow, row: CheckRow, result: ProbeResult): void {
    const status = result.passing ? "passing" : "critical";
    const same = row.status === status && row.output === result.output;
    Object.assign(row, { status, output: result.output, updatedAt: clock.now() });
    // An unchanged result causes no write to disk and no notification.
    if (!same) core.changed(machine);
  }

  return { reset, start, stop };
}

function timing(check: Check): typeof defaults {
  const ms = (value: string | number | undefined, fallback: number) =>
    (value === undefined ? undefined : parseDuration(value)) || fallback;
  return {
    intervalMs: ms(check.interval, defaults.intervalMs),
    timeoutMs: ms(check.timeout, defaults.timeoutMs),
    graceMs: ms(check.grace_period, defaults.graceMs),
  };
}
