/**
 * A small model of Pulumi's engine: check, diff, then create, update, replace or delete in the order of the dependency graph, some in parallel, and the
 * state written before and after each of them. Behaviour taken from the real engine (pulumi/pulumi, pkg/resource/deploy):
 * - if a diff leaves `changes` undefined, the engine compares inputs itself; `changes: true` and init errors count as a change (step_generator.go);
 * - an unchanged resource stores its new inputs and keeps its old outputs (SameStep);
 * - a partial result is kept with the new inputs, its outputs and its reasons (step_executor.go); any other error leaves the old state;
 * - after the first failure no further step starts, and steps in progress finish; deletes come last, and only if nothing failed;
 * - an interrupted operation is kept as a pending one, with its resource as before.
 * Not modelled: create-before-delete, as no edit of a stack replaces a resource that way; aliases, protect.
 */
import { isDeepStrictEqual } from "node:util";
import { type Clock, sleep } from "../../lib/clock.ts";
import type { Properties } from "../../providers/handler.ts";
import { providerSource, type ResourceType } from "../../providers/resource.ts";
import type { Host } from "./host.ts";
import type { Rng } from "./rng.ts";
import type { Declared } from "./stack.ts";

export interface Stored {
  name: string;
  kind: ResourceType;
  id: string;
  inputs: Properties;
  outs: Properties;
  initErrors: string[];
  after: string[];
  retainOnDelete: boolean;
}

/** What the backend keeps between runs. */
export interface EngineState {
  resources: Map<string, Stored>;
  /** Operations that were started and have not reported their end, by resource. */
  pending: Map<string, Operation>;
}

export type Operation = "create" | "update" | "delete" | "read";

export interface Step {
  name: string;
  operation: Operation;
  /** Inputs of the operation; none for reads and deletes. */
  inputs: Properties | undefined;
  /** undefined: success. */
  error?: string;
  /** Outputs returned by the provider, or those of a partial resource. */
  outs?: Properties;
  /** Milliseconds since the epoch. */
  began: number;
}

/** The result of a run that ended. */
export interface Outcome {
  ok: boolean;
  /** Steps that called a provider, in the order in which they ended. */
  steps: Step[];
  /** Messages for the user: failures of checks and steps. */
  errors: { name: string; message: string }[];
}

export interface EngineParts {
  state: EngineState;
  host: Host;
  /** The engine's own clock, which stops when the engine is killed. */
  clock: Clock;
  rng: Rng;
  /** `--parallel`. */
  parallel: number;
  /** Called when a step starts, and at the moment in which it ends. */
  onStep: (step: Step, phase: "begun" | "ended") => void;
}

export const emptyState = (): EngineState => ({ resources: new Map(), pending: new Map() });

export interface Engine {
  up(declared: Declared[]): Promise<Outcome>;
  refresh(): Promise<Outcome>;
  destroy(): Promise<Outcome>;
  /** Ctrl-C: no further step starts. */
  interrupt(): void;
}

/** One run of the CLI. An engine is used once. */
export function createEngine({ state, host, clock, rng, parallel, onStep }: EngineParts): Engine {
  const outcome: Outcome = { ok: true, steps: [], errors: [] };
  const slots = semaphore(parallel);

  const fail = (name: string, message: string) => {
    outcome.ok = false;
    outcome.errors.push({ name, message });
  };

  /** The whole state is written at once; a crash before that leaves the old one. */
  async function save(change: () => void): Promise<void> {
    await sleep(clock, rng.int(1, 15));
    change();
  }

  /** Runs one step, from the pending operation to its result. */
  async function carryOut(
    name: string,
    operation: Operation,
    inputs: Properties | undefined,
    work: (step: Step) => Promise<() => void>,
  ): Promise<boolean> {
    return slots(async () => {
      if (!outcome.ok) return false;
      if (operation !== "read") await save(() => state.pending.set(name, operation));
      const step: Step = { name, operation, inputs, began: clock.now() };
      onStep(step, "begun");
      let change: () => void;
      try {
        change = await work(step);
      } catch (error) {
        const { message, kept, properties } = error as Error & { kept?: () => void; properties?: Properties };
        step.error = message;
        if (properties) step.outs = properties;
        change = kept ?? (() => {});
      }
      outcome.steps.push(step);
      onStep(step, "ended");
      await save(() => {
        change();
        state.pending.delete(name);
      });
      if (step.error !== undefined) fail(name, step.error);
      return step.error === undefined;
    });
  }

  async function register(it: Declared): Promise<boolean> {
    const { name, kind } = it;
    const provider = host.provider(kind);
    const text = { __provider: providerSource(kind) };
    const own = { after: it.after, retainOnDelete: it.retainOnDelete ?? false };
    const old = state.resources.get(name);
    const raw = { ...it.inputs(idOf), ...text };
    const { inputs, failures } = await host.call(() => provider.check?.(old?.inputs ?? {}, raw));
    const news: Properties = { ...inputs, ...text };
    if (failures && failures.length > 0) {
      fail(name, failures.map(({ property, reason }) => `${property}: ${reason}`).join("; "));
      return false;
    }
    const put = (id: string, outs: Properties, initErrors: string[] = []) =>
      state.resources.set(name, { name, kind, id, inputs: news, outs, initErrors, ...own });

    const create = () =>
      carryOut(name, "create", news, async (step) => {
        try {
          const { id, outs } = await host.call(() => provider.create?.(news));
          step.outs = outs;
          return () => put(id, outs);
        } catch (error) {
          throw keeping(error, put);
        }
      });

    if (!old) return create();
    const {
      changes,
      replaces = [],
      deleteBeforeReplace,
    } = await host.call(() => provider.diff?.(old.id, old.outs, news));
    if (replaces.length > 0) {
      if (!deleteBeforeReplace)
        throw new Error(`the engine's model knows no replacement of ${kind} after its creation`);
      return (await remove(old)) && create();
    }
    if (!changes && isDeepStrictEqual(old.inputs, news) && old.initErrors.length === 0) {
      await save(() => state.resources.set(name, { ...old, inputs: news, ...own }));
      return true;
    }
    return carryOut(name, "update", news, async (step) => {
      try {
        const { outs = {} } = await host.call(() => provider.update?.(old.id, old.outs, news));
        step.outs = outs;
        return () => put(old.id, outs);
      } catch (error) {
        throw keeping(error, put);
      }
    });
  }

  const idOf = (name: string): string => {
    const found = state.resources.get(name);
    if (!found) throw new Error(`the engine's model asked for the id of ${name}, which is not made`);
    return found.id;
  };

  const remove = (it: Stored) =>
    carryOut(it.name, "delete", undefined, async () => {
      if (!it.retainOnDelete) await host.call(() => host.provider(it.kind).delete?.(it.id, it.outs));
      return () => state.resources.delete(it.name);
    });

  /** A resource is deleted after those that refer to it. */
  async function removeAll(doomed: Stored[]): Promise<void> {
    const users = (name: string) => doomed.filter((it) => it.after.includes(name)).map((it) => it.name);
    await inOrder(
      doomed.map((it) => it.name),
      users,
      async (name) => remove(doomed.find((it) => it.name === name) as Stored),
    );
  }

  return {
    async up(declared) {
      const byName = new Map(declared.map((it) => [it.name, it]));
      await inOrder(
        [...byName.keys()],
        (name) => byName.get(name)?.after ?? [],
        async (name) => {
          if (!outcome.ok) return false;
          try {
            return await register(byName.get(name) as Declared);
          } catch (error) {
            // check or diff: the process in which they run is gone.
            fail(name, (error as Error).message);
            return false;
          }
        },
      );
      // As the program does at its end (components/hosts.ts): a skipped PoP makes the run fail, and nothing is removed.
      if (outcome.ok)
        for (const { name, outs } of state.resources.values())
          if (byName.has(name) && outs.complete === false) fail(name, `${name} was skipped`);
      if (outcome.ok) await removeAll([...state.resources.values()].filter((it) => !byName.has(it.name)));
      return outcome;
    },

    async refresh() {
      const known = [...state.resources.values()];
      await Promise.all(
        known.map((it) =>
          carryOut(it.name, "read", undefined, async () => {
            const found = await host.call(() => host.provider(it.kind).read?.(it.id, it.outs));
            return () => {
              if (!found.id) state.resources.delete(it.name);
              else
                state.resources.set(it.name, {
                  ...it,
                  id: found.id,
                  inputs: found.inputs ?? it.inputs,
                  outs: found.props ?? {},
                  // The engine forgets a failed create or update as soon as a read succeeds.
                  initErrors: [],
                });
            };
          }),
        ),
      );
      return outcome;
    },

    async destroy() {
      await removeAll([...state.resources.values()]);
      return outcome;
    },

    interrupt: () => fail("", "interrupted by the user"),
  };
}

/** Stores the partial resource of an error, if it has one. */
function keeping(error: unknown, put: (id: string, outs: Properties, reasons: string[]) => void): Error {
  const { id, properties, reasons = [] } = error as { id?: string; properties?: Properties; reasons?: string[] };
  if (id && properties) return Object.assign(error as Error, { kept: () => put(id, properties, reasons) });
  return error as Error;
}

/** Runs each item after its predecessors. If one of them returned false, the item is not run and counts as false. */
async function inOrder(
  names: string[],
  before: (name: string) => string[],
  work: (name: string) => Promise<boolean>,
): Promise<void> {
  const results = new Map<string, Promise<boolean>>();
  const result = (name: string): Promise<boolean> => {
    const known = results.get(name);
    if (known) return known;
    const made = Promise.all(before(name).map(result)).then((all) => (all.every(Boolean) ? work(name) : false));
    results.set(name, made);
    return made;
  };
  await Promise.all(names.map(result));
}

/** Limits how many run at once, in the order of their calls. */
function semaphore(width: number) {
  let free = width;
  const queue: (() => void)[] = [];
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => queue.push(resolve));
    try {
      return await work();
    } finally {
      const next = queue.shift();
      if (next) next();
      else free++;
    }
  };
}
