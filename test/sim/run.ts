/** One run of the CLI in a simulation, with faults of calls, interference by others, and possibly a sudden end. */

import type { Clock } from "../../lib/clock.ts";
import { defaultSettings } from "../../local/fly/core/core.ts";
import { createEngine, type Outcome, type Step } from "./engine.ts";
import { planFault } from "./faults.ts";
import { createHost } from "./host.ts";
import { interferences, platformEvents } from "./interference.ts";
import {
  allPopsCorrect,
  type Before,
  beforeOf,
  failureMatchesReality,
  foreignObjects,
  foreignObjectsUnchanged,
  noDuplicates,
  noLeaseLeft,
  nothingLeft,
  successMatchesReality,
} from "./invariants.ts";
import { liveMachines, machineIn, recordDisturbance, type Sim, Violation } from "./sim.ts";
import { machineOf, popOf, program } from "./stack.ts";

export type Command = "up" | "refresh" | "destroy";

export interface Disruption {
  /** Number of faults of calls. */
  faults: number;
  /** Number of interferences by people and platform during the run. */
  interferences: number;
  /** How the run is interrupted. */
  end: "none" | "kill -9 of all" | "kill -9 of the host" | "Ctrl-C";
}

export const noDisruption: Disruption = { faults: 0, interferences: 0, end: "none" };

/** Maximum time of a run; longer means that it hangs. In the worst case a stack of five PoPs waits for leases and timeouts one after another. */
const longestMs = 4 * 3_600_000;
/** TTL of our leases plus a second. */
const leaseMs = 61_000;

/** Runs a command. @returns undefined if the engine was killed. @throws Violation */
export async function run(sim: Sim, command: Command, trouble: Disruption): Promise<Outcome | undefined> {
  const { clock, rng, fly, state } = sim;
  const began = clock.now();
  const foreign = foreignObjects(sim);
  const before = new Map<string, Before>();
  let alive = true;
  const own: Clock = {
    now: clock.now,
    after: (ms, work) =>
      clock.after(ms, () => {
        if (alive) work();
      }),
  };
  const died = Promise.withResolvers<undefined>();
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => {});
  const guard = (work: () => void) => {
    try {
      work();
    } catch (error) {
      broken.reject(error);
    }
  };
  const host = createHost(sim.network, sim.client, (line) => sim.note(() => `log      ${line}`));
  const engine = createEngine({
    state,
    host,
    clock: own,
    rng: sim.network.rng,
    parallel: rng.pick([1, 2, 8]),
    onStep,
  });
  sim.note(() => `$ pulumi ${command}`);

  for (let n = 0; n < trouble.faults; n++) {
    const what = planFault(fly.faults, rng);
    sim.note(() => `plan     ${what}`);
  }
  const triggers = new Map<number, (() => void)[]>();
  const atCall = (number: number, work: () => void) => triggers.set(number, [...(triggers.get(number) ?? []), work]);
  const jitter = rng.fork();
  for (let n = 0; n < trouble.interferences; n++) {
    const [, interference] = rng.pick([...Object.entries(interferences), ...Object.entries(platformEvents)]);
    atCall(rng.int(1, 40), () => {
      interference(sim).then(
        (line) => sim.note(() => `         ${line}`),
        (error: unknown) => broken.reject(error),
      );
    });
  }
  if (trouble.end !== "none") {
    const call = rng.chance(0.3) ? rng.int(1, 8) : rng.int(1, 60);
    atCall(call, () => {
      sim.note(() => `*        ${trouble.end}`);
      if (trouble.end === "Ctrl-C") return engine.interrupt();
      const all = trouble.end === "kill -9 of all";
      if (all) alive = false;
      host.kill(all);
      if (all) died.resolve(undefined);
    });
  }

  let calls = 0;
  const outOfService = new Set<string>();
  sim.onSent = () => {
    calls++;
    for (const work of triggers.get(calls) ?? []) clock.after(jitter.int(0, 200), work);
  };
  sim.onAnswered = (request, status) => guard(() => watchWidth(request.path, request.method, status));

  const outcome = await clock.until(
    Promise.race([command === "up" ? engine.up(program(sim.stack)) : engine[command](), died.promise, broken.promise]),
    longestMs,
  );
  // The process ends with its timers.
  host.kill(true);
  alive = false;
  fly.faults.clear();
  sim.onSent = () => {};
  sim.onAnswered = () => {};
  sim.note(() =>
    outcome
      ? `${command} ${outcome.ok ? "ended well" : `failed: ${outcome.errors.map(({ name, message }) => `${name}: ${message}`).join(" | ")}`}`
      : `${command} was killed; pending: ${[...state.pending].map(([name, what]) => `${what} ${name}`).join(", ") || "nothing"}`,
  );
  // Requests sent before the end arrive or are lost before the next run.
  while (sim.inFlight > 0 || fly.faults.landing > 0) await clock.pass(100);
  // After a failure, the next run starts only once all servers know what it did: a volume that none of them shows would be created again.
  if (!outcome?.ok) await clock.pass(sim.quirks.staleMs);
  if (trouble.faults > 0 || trouble.end !== "none") sim.mayHoldSince = clock.now();

  noDuplicates(sim);
  foreignObjectsUnchanged(foreign, sim);
  if (!outcome || trouble.end === "kill -9 of the host") forgetWhatWasCut();
  if (outcome?.ok) ended(outcome);
  return outcome;

  function onStep(step: Step, phase: "begun" | "ended"): void {
    const pop = popOf(step.name);
    sim.note(() => `engine   ${step.operation} ${step.name} ${phase === "begun" ? "..." : (step.error ?? "done")}`);
    if (phase === "ended" && step.operation === "create" && step.error !== undefined && !step.outs)
      sim.unknownToState.add(pop ?? step.name);
    if (!pop) return;
    // A partial delete cannot be stored in state: Pulumi has no way to express it.
    if (phase === "ended" && step.operation === "delete" && step.error !== undefined)
      recordDisturbance(sim, pop, { drift: true, rest: true });
    if (step.name !== machineOf(pop)) return;
    if (phase === "begun") {
      before.set(pop, beforeOf(sim, pop));
      return;
    }
    if (step.operation !== "create" && step.operation !== "update") return;
    guard(() => {
      if (step.error !== undefined) return failureMatchesReality(sim, step, before.get(pop) as Before);
      successMatchesReality(sim, step);
    });
  }

  /** A machine out of service must be back before too many others are taken out. */
  function watchWidth(path: string, method: string, status: number): void {
    const id = machineIn(path);
    if (!id || status !== 200) return;
    const verb = path.split("/machines/")[1]?.split("/")[1];
    if (method === "DELETE" && !verb) outOfService.delete(id);
    if (verb === "uncordon") outOfService.delete(id);
    if (verb !== "cordon") return;
    const name = sim.flyState.machines[id]?.name ?? "";
    if (!sim.stack.pops.some((it) => it.name === name) || state.pending.get(machineOf(name)) === "delete") return;
    outOfService.add(id);
    const { pops, maxUnavailable } = sim.stack;
    // If its host went down during the update, it is out of service with its host, and the rollout continues with the others.
    const taken = [...outOfService].filter(
      (it) => !sim.flyState.unreachableZones.includes(sim.flyState.machines[it]?.zone ?? ""),
    );
    if (taken.length > Math.max(1, Math.min(maxUnavailable, pops.length - 1)))
      throw new Violation(`${taken.length} machines were taken out of service at once`);
    const region = sim.flyState.machines[id]?.region;
    const neighbours = pops.filter((it) => it.region === region).length;
    const out = taken.filter((it) => sim.flyState.machines[it]?.region === region).length;
    if (neighbours > 1 && out * 2 > neighbours)
      throw new Violation(`${out} of the ${neighbours} PoPs in ${region} were taken out of service at once`);
  }

  /** Operations in progress when the process died are unknown to the next run until a refresh, as Pulumi warns itself. */
  function forgetWhatWasCut(): void {
    for (const name of [
      ...state.pending.keys(),
      ...(outcome?.steps ?? []).filter((it) => it.error?.startsWith("rpc")).map((it) => it.name),
    ]) {
      const pop = popOf(name);
      // A machine stopped for deletion looks like one that was stopped by others.
      recordDisturbance(sim, pop ?? name, { drift: true, rest: state.pending.get(name) === "delete" });
      if (state.pending.get(name) === "create") sim.unknownToState.add(pop ?? name);
    }
  }

  function ended({ ok }: Outcome): void {
    if (command === "up") allPopsCorrect(sim, began);
    if (command === "destroy") nothingLeft(sim);
    if (command === "refresh") {
      const unreachable = new Set(
        liveMachines(sim)
          .filter((it) => sim.flyState.unreachableZones.includes(it.zone))
          .map((it) => it.name),
      );
      // A change just before it may not have been read yet.
      for (const [name, known] of sim.disturbed)
        if (known.at < began - sim.quirks.staleMs && !unreachable.has(name))
          sim.disturbed.set(name, { ...known, drift: false, rest: false });
    }
    if (trouble.faults === 0 && clock.now() - sim.mayHoldSince > leaseMs && ok) noLeaseLeft(sim, defaultSettings.owner);
  }
}

/** Waits until all leases of killed processes have expired. */
export async function waitForLeases(sim: Sim): Promise<void> {
  await sim.clock.pass(leaseMs);
  noLeaseLeft(sim, defaultSettings.owner);
}
