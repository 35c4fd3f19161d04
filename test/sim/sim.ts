/** One simulation: local Fly, a stack, its state, and what others changed. */

import { Fly } from "../../fly/api.ts";
import type { FlyOptions } from "../../fly/http.ts";
import type { ApiRequest } from "../../local/fly/api/request.ts";
import { emptyFlyState, type FlyState, type MachineRow, type VolumeRow } from "../../local/fly/core/fly-state.ts";
import type { Quirks } from "../../local/fly/core/quirks.ts";
import { createLocalFly, type LocalFly } from "../../local/fly/create.ts";
import { type Behaviour, createStateRunner, type StateRunner } from "../../local/fly/runners/state-runner.ts";
import { type SimClock, simClock } from "../support/sim-clock.ts";
import { type EngineState, emptyState } from "./engine.ts";
import type { Network } from "./host.ts";
import { createRng, type Rng } from "./rng.ts";
import type { StackSpec } from "./stack.ts";

/** An invariant was violated. */
export class Violation extends Error {}

/** A change of a PoP by others that no refresh has seen yet. */
export interface Disturbance {
  /** Drift that a refresh must find and that may fail an `up` before it: config, cordon, a missing object, size. */
  drift: boolean;
  /** Stopped, suspended or crashed. A refresh finds this too; before it, an `up` that does not update the machine leaves it so. */
  rest: boolean;
  /** Time of the last change, in milliseconds since the epoch. */
  at: number;
}

export interface Sim {
  seed: number;
  clock: SimClock;
  /** Random choices of the scenario. */
  rng: Rng;
  fly: LocalFly;
  /** The rows themselves, not a copy. Only `interference.ts` and `platform.ts` may change them. */
  flyState: FlyState;
  runner: StateRunner;
  network: Network;
  client: (options: FlyOptions) => Fly;
  stack: StackSpec;
  state: EngineState;
  quirks: Quirks;
  /** Images whose machines may crash after they were healthy. */
  crashers: Set<string>;
  /** False while no origin responds, so that no check of any version passes. */
  originUp: boolean;
  disturbed: Map<string, Disturbance>;
  /** PoPs and address types whose objects may exist without being in state: their create was interrupted, or failed without reporting an id. */
  unknownToState: Set<string>;
  /** When a host process of ours last sent a call for a machine, by machine id. */
  calledAt: Map<string, number>;
  /** When it last read a machine, by machine id. */
  readAt: Map<string, number>;
  /** When the last call arrived of a run that may not have released its leases. */
  mayHoldSince: number;
  /** Adds a line to the history. The text is created only if the history is kept. */
  note(text: () => string): void;
  /** Called for every request that our host processes send, in order. */
  onSent: (request: ApiRequest) => void;
  onAnswered: (request: ApiRequest, status: number) => void;
  /** Requests in progress. */
  inFlight: number;
}

export interface SimOptions {
  seed: number;
  /** Keeps the history, which takes time: set only for replaying a failed seed. */
  history?: string[] | undefined;
  /** Creates the client of a mutant. */
  client?: ((options: FlyOptions) => Fly) | undefined;
}

export const token = "sim-token";

export async function createSim({ seed, history, client }: SimOptions): Promise<Sim> {
  const all = createRng(seed);
  const clock = simClock();
  const started = clock.now();
  const scenario = all.fork();
  const wire = all.fork();
  const defaults: Partial<Behaviour> = {
    check: () => (sim.originUp ? { passing: true, output: "200 OK" } : { passing: false, output: "502 Bad Gateway" }),
  };
  const runner = createStateRunner(clock, defaults);
  const flyState = emptyFlyState();
  const quirks: Quirks = {
    bornMs: scenario.chance(0.3) ? scenario.int(100, 3_000) : 0,
    boundMs: scenario.chance(0.3) ? scenario.int(1_000, 100_000) : 0,
    destroyingMs: scenario.chance(0.3) ? scenario.int(500, 20_000) : 0,
    deletesUnreachable: scenario.chance(0.5),
    restartToGrow: scenario.chance(0.5),
    stillActiveMs: scenario.chance(0.3) ? scenario.int(500, 10_000) : 0,
    mirrorChecks: scenario.chance(0.2),
    namedChecksOnlyWatch: scenario.chance(0.5),
    rateLimits: scenario.chance(0.3),
    replicas: scenario.int(1, 4),
    staleMs: scenario.chance(0.7) ? scenario.int(500, 14_000) : 0,
    affinityMs: scenario.pick([1_000, 10_000, 30_000]),
    newAppMs: scenario.chance(0.5) ? scenario.int(500, 20_000) : 0,
    replicaGoes: scenario.pick([0, 0.02, 0.3]),
    staleChecksMs: scenario.chance(0.5) ? scenario.int(1_000, 8_000) : 0,
    staleNamesMs: 0, // nothing here asks for names
    emptyLists: scenario.chance(0.3) ? 0.1 : 0,
    seed,
  };
  const fly = await createLocalFly({
    clock,
    runner,
    random: all.fork().random,
    store: { load: () => flyState, save: () => {} },
    token,
    settings: { hostsPerRegion: 3 },
    quirks,
  });
  const sim: Sim = {
    seed,
    clock,
    rng: scenario,
    fly,
    flyState,
    runner,
    client: client ?? ((options) => new Fly(options)),
    network: {
      clock,
      rng: wire,
      token,
      handle: fly.handle,
      onSent(request) {
        sim.inFlight++;
        const machine = machineIn(request.path);
        if (machine) sim.calledAt.set(machine, clock.now());
        if (machine && request.method === "GET" && request.path.endsWith(machine)) sim.readAt.set(machine, clock.now());
        sim.onSent(request);
      },
      onAnswered(request, status, body) {
        sim.inFlight--;
        sim.note(() => `api      ${request.method} ${request.path}${query(request)} -> ${answer(status, body)}`);
        sim.onAnswered(request, status);
      },
    },
    stack: undefined as unknown as StackSpec,
    state: emptyState(),
    quirks,
    crashers: new Set(),
    originUp: true,
    disturbed: new Map(),
    unknownToState: new Set(),
    calledAt: new Map(),
    readAt: new Map(),
    mayHoldSince: Number.NEGATIVE_INFINITY,
    note: history
      ? (text) => history.push(`${((clock.now() - started) / 1000).toFixed(3).padStart(9)} ${text()}`)
      : () => {},
    onSent: () => {},
    onAnswered: () => {},
    inFlight: 0,
  };
  return sim;
}

export const machineIn = (path: string): string | undefined => /\/machines\/([0-9a-f]{14})/.exec(path)?.[1];

const query = ({ query }: ApiRequest): string => {
  const text = String(query ?? "");
  return text ? `?${decodeURIComponent(text)}` : "";
};

function answer(status: number, body: string): string {
  if (status === 0) return "no answer, connection dropped";
  if (status >= 400) return `${status} ${body.slice(0, 160)}`;
  try {
    const { instance_id, state, nonce } = JSON.parse(body) as Record<string, unknown>;
    return [status, state, instance_id && String(instance_id).slice(-6), nonce].filter(Boolean).join(" ");
  } catch {
    return String(status);
  }
}

export const liveMachines = (sim: Sim, name?: string): MachineRow[] =>
  Object.values(sim.flyState.machines).filter(
    (it) =>
      it.app === sim.stack.app && it.state !== "destroyed" && it.state !== "destroying" && (!name || it.name === name),
  );

export const liveVolumes = (sim: Sim, name?: string): VolumeRow[] =>
  Object.values(sim.flyState.volumes).filter(
    (it) => it.app === sim.stack.app && it.state === "created" && (!name || it.name === name),
  );

/** Records that others changed a PoP. */
export function recordDisturbance(sim: Sim, pop: string, what: { drift?: boolean; rest?: boolean }): void {
  const { drift = false, rest = false } = sim.disturbed.get(pop) ?? {};
  sim.disturbed.set(pop, { drift: drift || !!what.drift, rest: rest || !!what.rest, at: sim.clock.now() });
}

export const wasDisturbed = (sim: Sim, pop: string, since: number): boolean =>
  (sim.disturbed.get(pop)?.at ?? Number.NEGATIVE_INFINITY) >= since;
