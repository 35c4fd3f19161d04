/** Waits until one version of a machine is healthy: started, no exit since, all checks of that version passing. Throws the reason if it is not. */
import { type Clock, sleep } from "../lib/clock.ts";
import type { Fly } from "./api.ts";
import { FlyError, isNotFound } from "./errors.ts";
import { staleReadMs } from "./lag.ts";
import { watchVersion } from "./version-watch.ts";
import type { CheckStatus, ExitEvent, Machine, MachineEvent } from "./wire.ts";

export interface MachineVersionRef {
  app: string;
  id: string;
  /** `instance_id` that must become healthy. Each wait is pinned to it, so that a machine that was rolled back to its old version does not count. */
  version: string;
}

/** The version is not healthy; the message says why. `final`: waiting longer cannot help. Otherwise the deadline passed. */
export class UnhealthyError extends Error {
  readonly final: boolean;
  constructor(reason: string, final: boolean) {
    super(reason);
    this.name = "UnhealthyError";
    this.final = final;
  }
}

/** Maximum length of one wait call, so that an exit is noticed soon. Fly allows 60. */
const waitSliceSeconds = 10;
const pollMs = 1_000;

export interface WaitOptions {
  /** Milliseconds since the epoch. */
  deadline: number;
  /** Ids of events from before this version: an exit among them is not one of this version. */
  knownEvents: ReadonlySet<string>;
  signal?: AbortSignal | undefined;
}

/** Resolves with the machine once it is healthy. @throws UnhealthyError */
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
    // Sleep first: no check has run yet right after the start.
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
          : `it is started, but Fly still shows version ${machine.instance_id}${lastEventText(machine)}`,
        false,
      );
  }

  /** @returns whether the read shows this version. @throws UnhealthyError if the version failed for good: another one runs, it exited, or Fly gave up. */
  function throwIfFailed(machine: Machine): boolean {
    const seen = watch(machine);
    if (seen === "lost")
      throw new UnhealthyError(`Fly rolled back to version ${machine.instance_id}${lastEventText(machine)}`, true);
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
      // 408 is Fly's "not yet" and took until its timeout. A wait for a replaced version fails at once; a read then shows the current one.
      if (error.status !== 408) await sleep(clock, pollMs, signal);
      return false;
    }
  }

  /** A server that does not know a new machine yet returns 404: the machine is gone only if it does so for longer than a read can be stale. */
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

/** Errors that say nothing about the machine are retried until the deadline; a rejected token (401, 403) is final. */
const isTransient = (error: unknown): error is FlyError =>
  error instanceof FlyError && error.status !== 401 && error.status !== 403;

/** An exit of the new version: after its launch, and not requested. The exit of the old version precedes that launch. */
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
  // Fly uses -1 for "none".
  const signal = [exit.guest_signal, exit.signal].find((it) => it !== undefined && it > 0);
  if (signal !== undefined) return `it was ended by signal ${signal}`;
  return `it exited with ${exit.guest_exit_code || exit.exit_code || 0}`;
}

/** The machine's checks, without the copies that Fly makes for its blue-green deploys, which are not always up to date. */
export const checksOf = (machine: Machine): CheckStatus[] =>
  (machine.checks ?? []).filter((row) => !row.name?.startsWith("bg_deployments_compat-"));

/**
 * How many check rows to expect: an empty list does not mean healthy while checks are configured. Fly names a service's check by its index, type and
 * port, so two services with the same check can share one row.
 */
function expectedCheckCount({ config }: Machine): number {
  const ofServices = (config?.services ?? []).flatMap(({ checks, internal_port }) =>
    (checks ?? []).map(({ type, port }, at) => `${at} ${type} ${port ?? internal_port}`),
  );
  return Object.keys(config?.checks ?? {}).length + new Set(ofServices).size;
}

/** When the machine last booted, by Fly's clock, in milliseconds since the epoch. undefined: its events do not say. */
const bootedAt = (events: readonly MachineEvent[]): number | undefined =>
  events.find(({ type, status }) => type === "start" && status !== "starting")?.timestamp;

/**
 * Whether a check row was written since the boot. An older row can be of the previous version, or of before a crash; it counts only if it is shown for
 * longer than a read can be stale. Both times are of Fly's clock, and a row's may be truncated to seconds: a row of the second of the boot is not
 * believed until it is written again.
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

/** The last event of the machine, to append to a sentence. */
function lastEventText(machine: Machine): string {
  const event = machine.events?.[0];
  return event?.type ? `; last event: ${event.type}${event.status ? ` ${event.status}` : ""}` : "";
}

const oneLine = (text: string): string => text.replaceAll(/\s+/g, " ").trim().slice(0, 200);
