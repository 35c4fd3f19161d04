/** Waits until one version of a machine serves: started, not fallen over since, every check of that version passing. Or says why it never will. */
import { type Clock, sleep } from "../clock.ts";
import type { Fly } from "./api.ts";
import { FlyError, isNotFound } from "./errors.ts";
import { staleReadMs } from "./lag.ts";
import { watchVersion } from "./version-watch.ts";
import type { CheckStatus, ExitEvent, Machine, MachineEvent } from "./wire.ts";

export interface MachineVersionRef {
  app: string;
  id: string;
  /** `instance_id` that must serve; every wait is pinned to it, or a machine that fell back to its old version would count. */
  version: string;
}

/** This version does not serve, and why. `final`: nothing to wait for any more; otherwise our patience ended. */
export class UnhealthyError extends Error {
  readonly final: boolean;
  constructor(reason: string, final: boolean) {
    super(reason);
    this.name = "NotServing";
    this.final = final;
  }
}

/** One wait call at most, so that an exit is noticed soon; Fly allows 60. */
const waitSliceSeconds = 10;
const pollMs = 1_000;

export interface WaitOptions {
  /** By the clock. */
  deadline: number;
  /** Ids of events that happened before this version: an exit among them is not its own. */
  knownEvents: ReadonlySet<string>;
  signal?: AbortSignal | undefined;
}

/** Resolves with the machine when it serves. */
export async function waitUntilHealthy(
  { app, id, version }: MachineVersionRef,
  { deadline, knownEvents: known, signal }: WaitOptions,
  { fly, clock }: { fly: Fly; clock: Clock },
): Promise<Machine> {
  const watch = watchVersion(version, known, clock);
  for (;;) {
    signal?.throwIfAborted();
    if (await started()) break;
    const machine = await read();
    throwIfFailed(machine);
    if (clock.now() >= deadline) throw new UnhealthyError(`not started in time${lastEventText(machine)}`, false);
  }
  let upSince: number | undefined;
  for (;;) {
    // First the pause: no check has run yet when the machine has only just started.
    await sleep(clock, pollMs, signal);
    const machine = await read();
    const isOurs = throwIfFailed(machine);
    const rows = checksOf(machine);
    const wanted = expectedCheckCount(machine);
    const since = bootedAt(machine.events ?? []);
    if (!isOurs || machine.state !== "started") upSince = undefined;
    else upSince ??= clock.now();
    const isLate = (row: CheckStatus) =>
      !isFromThisBoot(row, since) && clock.now() - (upSince ?? clock.now()) < staleReadMs;
    const passes = (row: CheckStatus) => row.status === "passing" && !isLate(row);
    if (isOurs && machine.state === "started" && rows.length >= wanted && rows.every(passes)) return machine;
    if (clock.now() >= deadline)
      throw new UnhealthyError(
        isOurs
          ? describeUnhealthy(rows, wanted, isLate)
          : `it is started, but Fly goes on showing version ${machine.instance_id}${lastEventText(machine)}`,
        false,
      );
  }

  /** Whether this version is the one that was read. Throws when it is lost for good: another one runs, it ended by itself, or Fly gave up on it. */
  function throwIfFailed(machine: Machine): boolean {
    const seen = watch(machine);
    if (seen === "lost")
      throw new UnhealthyError(`Fly went back to version ${machine.instance_id}${lastEventText(machine)}`, true);
    if (seen === "not yet") return false;
    const exit = unexpectedExit(machine.events ?? [], known);
    if (exit) throw new UnhealthyError(describeExit(exit), true);
    if (machine.state === "failed" || machine.state === "destroyed")
      throw new UnhealthyError(`the machine is ${machine.state}${lastEventText(machine)}`, true);
    return true;
  }

  async function started(): Promise<boolean> {
    const seconds = Math.max(1, Math.min(waitSliceSeconds, Math.ceil((deadline - clock.now()) / 1000)));
    try {
      const { state = "started" } = await fly.waitMachine(app, id, { states: ["started", "failed"], version, seconds });
      return state === "started";
    } catch (error) {
      if (!isTransient(error)) throw error;
      // 408 is Fly's "not yet", and took its time; a wait for a version that was replaced is refused at once, and reading tells by what.
      if (error.status !== 408) await sleep(clock, pollMs, signal);
      return false;
    }
  }

  /** A machine just made reads as absent at a server that has not heard of it: gone is what stays absent for longer. */
  async function read(): Promise<Machine> {
    let absentSince: number | undefined;
    for (;;) {
      try {
        return await fly.getMachine(app, id);
      } catch (error) {
        if (!isTransient(error)) throw error;
        absentSince = isNotFound(error) ? (absentSince ?? clock.now()) : undefined;
        if (absentSince !== undefined && clock.now() - absentSince >= staleReadMs)
          throw new UnhealthyError("the machine is gone", true);
        if (clock.now() >= deadline) throw new UnhealthyError(`its state cannot be read, ${error.message}`, false);
        await sleep(clock, pollMs, signal);
      }
    }
  }
}

/** An answer that says nothing of the machine: asked again until the deadline. One that says who we are not stays. */
const isTransient = (error: unknown): error is FlyError =>
  error instanceof FlyError && error.status !== 401 && error.status !== 403;

/** An exit of the new version: newer than its launch, asked for by nobody. The old version's own end lies before that. */
export function unexpectedExit(
  events: readonly MachineEvent[],
  knownEvents: ReadonlySet<string>,
): ExitEvent | undefined {
  const fresh = events.filter((event) => !knownEvents.has(event.id ?? ""));
  const launch = fresh.findIndex((event) => event.type === "launch");
  const start = fresh.findLastIndex((event) => event.type === "start");
  const since = fresh.slice(0, launch >= 0 ? launch : Math.max(0, start));
  const exit = since.find(
    (event) => event.type === "exit" && event.request?.exit_event && !event.request.exit_event.requested_stop,
  );
  return exit?.request?.exit_event ?? undefined;
}

export function describeExit(exit: ExitEvent): string {
  if (exit.oom_killed) return "it ran out of memory and was killed";
  // -1 is Fly's "none".
  const signal = [exit.guest_signal, exit.signal].find((it) => it !== undefined && it > 0);
  if (signal !== undefined) return `it was ended by signal ${signal}`;
  return `it exited with ${exit.guest_exit_code || exit.exit_code || 0}`;
}

/** Fly mirrors checks under names of its own for its blue-green deploys: not ours, and not always true. */
export const checksOf = (machine: Machine): CheckStatus[] =>
  (machine.checks ?? []).filter((row) => !row.name?.startsWith("bg_deployments_compat-"));

/**
 * Rows to expect: an empty list is not a pass while checks are configured. Fly names a service's check by its place, type and port, so two services with
 * the same check may have one row between them.
 */
function expectedCheckCount({ config }: Machine): number {
  const ofServices = (config?.services ?? []).flatMap(({ checks, internal_port }) =>
    (checks ?? []).map(({ type, port }, at) => `${at} ${type} ${port ?? internal_port}`),
  );
  return Object.keys(config?.checks ?? {}).length + new Set(ofServices).size;
}

/** When the machine last booted, by Fly's clock in milliseconds. undefined: its events do not say. */
const bootedAt = (events: readonly MachineEvent[]): number | undefined =>
  events.find(({ type, status }) => type === "start" && status !== "starting")?.timestamp;

/**
 * Whether a row was written since the boot. One that was not may be of the version before, or of before a crash, and passed then; for a while: what a read shows
 * for longer than it can be late is so. By Fly's clock, of which a row may have whole seconds only: one of the second of the boot may be either's, and is
 * not believed until it is written again.
 */
function isFromThisBoot({ updated_at }: CheckStatus, since: number | undefined): boolean {
  const at = Date.parse(updated_at ?? "");
  if (since === undefined || Number.isNaN(at)) return true;
  return at >= since;
}

function describeUnhealthy(rows: CheckStatus[], wanted: number, isLate: (row: CheckStatus) => boolean): string {
  const failing = rows.filter((row) => row.status !== "passing");
  const reported = rows.filter((row) => !isLate(row)).length;
  if (failing.length === 0) return `only ${reported} of ${wanted} checks have reported in time`;
  return `not healthy in time: ${failing.map((row) => `${row.name} is ${row.status} (${oneLine(row.output ?? "no output")})`).join(", ")}`;
}

/** The last thing Fly says of the machine, for the end of a sentence. */
function lastEventText(machine: Machine): string {
  const event = machine.events?.[0];
  return event?.type ? `; last event: ${event.type}${event.status ? ` ${event.status}` : ""}` : "";
}

const oneLine = (text: string): string => text.replaceAll(/\s+/g, " ").trim().slice(0, 200);
