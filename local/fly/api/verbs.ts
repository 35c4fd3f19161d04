/** Verbs on one machine, and the states each is refused in. What an accepted one sets off is lifecycle.ts' business. */
import { z } from "zod";
import type { Core } from "../core/core.ts";
import { aborted, failedPrecondition, invalidArgument } from "../core/errors.ts";
import { currentVersion, type MachineRow, type MachineState } from "../core/fly-state.ts";
import { isStillActive } from "../core/lags.ts";
import type { Process } from "../core/runner.ts";
import { record } from "../machines/events.ts";
import { acquire, fence, readLease, release, renderLease } from "../machines/leases.ts";
import type { Lifecycle } from "../machines/lifecycle.ts";
import { hasRoomIn } from "../machines/placement.ts";
import { signalName } from "../machines/signals.ts";
import { stopHow } from "../machines/stop-config.ts";
import { bodyOf, type Call, json, liveMachineOf, machineOf, ok, optionalBodyOf, type RouteTable } from "./request.ts";

const Stop = z.looseObject({
  signal: z.union([z.string(), z.number()]).nullish(),
  timeout: z.union([z.string(), z.number()]).nullish(),
});
const Signal = z.looseObject({ signal: z.union([z.string(), z.number()]) });
const Exec = z.looseObject({
  command: z.array(z.string()).nullish(),
  cmd: z.string().nullish(),
  stdin: z.string().nullish(),
  timeout: z.number().nullish(),
});
const Lease = z.looseObject({ ttl: z.number().int().nullish(), description: z.string().nullish() });

/** Suspending writes the memory to disk: Fly takes only machines up to this size. */
const largestSuspended = 2048;
const defaultExecSeconds = 60;

export function verbRoutes(core: Core, lifecycle: Lifecycle): RouteTable {
  /** A live machine that no other client holds. */
  const held = (call: Call): MachineRow => {
    const machine = liveMachineOf(core, call);
    fence(core, machine, call.nonce);
    return machine;
  };
  const refuseUnless = (machine: MachineRow, verb: string, states: readonly MachineState[]) => {
    if (!states.includes(machine.state))
      throw failedPrecondition(`unable to ${verb} machine from current state: '${machine.state}'`);
  };
  const refuseUnlessRunning = (machine: MachineRow) => {
    if (machine.state !== "started") throw failedPrecondition("machine not running");
  };

  function start(call: Call) {
    const machine = held(call);
    const previous = machine.state;
    const answer = json(200, { previous_state: previous, migrated: false, new_host: "" });
    switch (previous) {
      case "started":
        return answer;
      case "replacing":
      case "updating":
        throw failedPrecondition("machine getting replaced, refusing to start");
      case "starting":
      case "restarting":
        throw failedPrecondition("machine still attempting to start");
      case "stopping":
      case "suspending":
        throw failedPrecondition("machine still active, refusing to start");
      case "stopped":
      case "suspended":
      case "failed":
        if (isStillActive(core, machine)) throw failedPrecondition("machine still active, refusing to start");
        if (!hasRoomIn(core, machine.zone))
          throw aborted(
            "could not reserve resource for machine: insufficient memory available to fulfill request on the current host",
          );
        lifecycle.start(machine);
        return answer;
      default:
        throw failedPrecondition(`unable to start machine from current state: '${previous}'`);
    }
  }

  function stop(call: Call) {
    const body = optionalBodyOf(call, Stop);
    const machine = held(call);
    if (machine.state === "stopped" || machine.state === "stopping") return ok();
    refuseUnless(machine, "stop", ["started", "starting", "suspended"]);
    const signal = signalName(body.signal ?? undefined);
    lifecycle.stop(machine, stopHow(currentVersion(machine).rendered, { signal, timeout: body.timeout ?? undefined }));
    return ok();
  }

  function suspend(call: Call) {
    const machine = held(call);
    if (machine.state === "suspended" || machine.state === "suspending") return ok();
    refuseUnless(machine, "suspend", ["started"]);
    const { guest, init, schedule } = currentVersion(machine).rendered;
    if ((guest?.memory_mb ?? 0) > largestSuspended)
      throw failedPrecondition(`unable to suspend machine with more than ${largestSuspended} MB of memory`);
    if (init?.swap_size_mb) throw failedPrecondition("unable to suspend machine with swap");
    if (schedule) throw failedPrecondition("unable to suspend machine with a schedule");
    lifecycle.suspend(machine);
    return ok();
  }

  function restart(call: Call) {
    const machine = held(call);
    refuseUnless(machine, "restart", ["started", "starting"]);
    const how = stopHow(currentVersion(machine).rendered, {
      signal: signalName(call.query.get("signal") ?? undefined),
      timeout: call.query.get("timeout") ?? undefined,
    });
    lifecycle.restart(machine, call.query.get("force_stop") === "true" ? { signal: "SIGKILL", timeoutMs: 0 } : how);
    return ok();
  }

  function cordon(call: Call, cordoned: boolean) {
    const machine = held(call);
    if (machine.cordoned !== cordoned) {
      machine.cordoned = cordoned;
      record(core, machine, { type: cordoned ? "cordon" : "uncordon", status: machine.state, source: "user" });
      core.changed(machine);
    }
    return ok();
  }

  async function signal(call: Call) {
    const name = signalName(bodyOf(call, Signal).signal);
    const machine = held(call);
    refuseUnlessRunning(machine);
    await core.runner.signal(machine.id, name ?? "SIGTERM");
    return ok();
  }

  async function exec(call: Call) {
    const body = bodyOf(call, Exec);
    const command = body.command?.length ? body.command : words(body.cmd ?? "");
    if (command.length === 0) throw invalidArgument("command is required");
    const machine = held(call);
    refuseUnlessRunning(machine);
    const result = await core.runner.exec(machine.id, command, {
      timeoutMs: (body.timeout || defaultExecSeconds) * 1000,
      ...(body.stdin ? { stdin: body.stdin } : {}),
    });
    return json(200, {
      exit_code: result.exitCode,
      ...(result.exitSignal === undefined ? {} : { exit_signal: result.exitSignal }),
      stdout: result.stdout,
      stderr: result.stderr,
    });
  }

  async function ps(call: Call) {
    const machine = liveMachineOf(core, call);
    refuseUnlessRunning(machine);
    // fly-go reads whole numbers; a runner may have measured finer.
    const whole = (it: Process) => ({ ...it, cpu: Math.round(it.cpu), rss: Math.round(it.rss) });
    const rows = (await core.runner.ps(machine.id)).map((it) => ({ ...whole(it), listen_sockets: [] }));
    const key = call.query.get("sort_by") ?? "pid";
    const sign = call.query.get("order") === "desc" ? -1 : 1;
    const value = (row: (typeof rows)[number]) => row[key as keyof typeof row] ?? 0;
    return json(
      200,
      rows.toSorted((a, b) => sign * (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0)),
    );
  }

  return {
    "POST machines/:id/start": start,
    "POST machines/:id/stop": stop,
    "POST machines/:id/suspend": suspend,
    "POST machines/:id/restart": restart,
    "POST machines/:id/signal": signal,
    "POST machines/:id/exec": exec,
    "GET machines/:id/ps": ps,
    "POST machines/:id/cordon": (call) => cordon(call, true),
    "POST machines/:id/uncordon": (call) => cordon(call, false),
    "GET machines/:id/lease": (call) => {
      const machine = machineOf(core, call);
      return json(200, renderLease(machine, readLease(core, machine)));
    },
    "POST machines/:id/lease": (call) => {
      const body = optionalBodyOf(call, Lease);
      const machine = liveMachineOf(core, call);
      const ttl = call.query.get("ttl");
      const ttlSeconds = ttl === null ? (body.ttl ?? undefined) : Number(ttl);
      if (ttlSeconds !== undefined && (!Number.isInteger(ttlSeconds) || ttlSeconds < 0))
        throw invalidArgument("ttl must be a whole number of seconds");
      const lease = acquire(core, machine, {
        nonce: call.nonce,
        ttlSeconds,
        description: call.query.get("description") ?? body.description ?? undefined,
      });
      return json(201, renderLease(machine, lease));
    },
    "DELETE machines/:id/lease": (call) => {
      const machine = machineOf(core, call);
      release(core, machine, call.nonce);
      return json(200, { status: "success", data: { ok: true } });
    },
  };
}

/** `cmd` is one string: split at blanks, quotes hold together. */
function words(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, bare]) => double ?? single ?? bare ?? "",
  );
}
