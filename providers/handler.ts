/** What a kind of resource must be able to do. Knows nothing of Pulumi, so tests run handlers alone. */
import { isDeepStrictEqual } from "node:util";
import type { z } from "zod";
import type { Clock } from "./clock.ts";
import type { Fly } from "./fly/api.ts";
import type { RolloutGate } from "./fly/rollout-gate.ts";
import type { Sops } from "./sops/cli.ts";
import type { ControlServer, TailnetApi } from "./tailnet/tailnet-api.ts";

/** Everything a handler needs of the world. */
export interface Context {
  fly: Fly;
  clock: Clock;
  /** A line for the user while it happens. */
  log: (line: string) => void;
  rollout: RolloutGate;
  /** Ids of volumes that the operator gave up (`npx fly-pops replace`): they count as gone, whatever Fly says of them. */
  givenUp?: ReadonlySet<string>;
  /** What the stack was called before, by its records in state: what has such a mark is its own. */
  formerNames?: ReadonlySet<string>;
  sops: Sops;
  /** The control server's API, by the credentials of stack config or environment. Throws a sentence when there are none. */
  tailnet: (of: ControlServer) => TailnetApi;
}

/** What happens when a property changes. "ignored": stored, nothing is called for it. */
export type ChangeAction = "replace" | "update" | "ignored";

export interface CheckFailure {
  /** Path of the input, e.g. config.guest.memory_mb */
  property: string;
  reason: string;
}

/** Plain data, as it goes into state: strict JSON. */
export type Properties = Record<string, unknown>;

/** What this process heard of a kind's records in state from the engine, which tells create and delete of one record only. */
export interface Records<Inputs> {
  /** Inputs of records that state has. */
  known: readonly Inputs[];
  /**
   * Inputs of objects that stay, by their id: created, adopted or updated in this run, or compared and found in order. A create that is forced
   * (`--replace`, taint, a record renamed in state) finds the object that is there, and the delete of the former record follows it.
   */
  kept: ReadonlyMap<string, Inputs>;
}

export const noRecords: Records<never> = { known: [], kept: new Map<string, never>() };

export interface Handler<Inputs extends Properties, Outputs extends Inputs> {
  /** Shape of the inputs, complete: no defaults are filled in behind the program's back. */
  schema: z.ZodType<Inputs>;
  lifecycle: Record<keyof Inputs & string, ChangeAction>;
  /** Inputs that count when the object is made and never again: one that is there keeps them, so that no preview shows a change of them. */
  hints?: readonly (keyof Inputs & string)[];
  /** True when the old object must go before the new one can come: names that are unique. */
  deleteBeforeReplace: boolean;
  /** What the shape cannot say, e.g. that a volume never shrinks. No I/O. */
  check?(olds: Inputs | undefined, news: Inputs): CheckFailure[];
  /**
   * Why the object cannot be this stack's, for it is another's: a sentence, undefined where it can. Asked before anything is made, in previews too
   * where credentials are at hand. Asks Fly once a run and app.
   */
  conflict?(inputs: Inputs, context: Context): Promise<string | undefined>;
  /** True for what a create or update left half made: then `update` is called although nothing differs. */
  isPartial?(outs: Outputs): boolean;
  /** Find or create. */
  create(inputs: Inputs, context: Context, records?: Records<Inputs>): Promise<{ id: string; outs: Outputs }>;
  /** What is there now, in the shape of state; undefined when it is gone. `inputs` of the result show drift; `id` when the object has another one now. */
  read(
    id: string,
    outs: Outputs,
    context: Context,
  ): Promise<{ id?: string; outs: Outputs; inputs: Inputs } | undefined>;
  update(id: string, olds: Outputs, news: Inputs, context: Context): Promise<Outputs>;
  /** Gone already is success. Not called for an object that stays. */
  delete(id: string, outs: Outputs, context: Context, records?: Records<Inputs>): Promise<void>;
}

/** Thrown by create and update when something was made but is not right: it is kept in state with its reasons, and the next `up` repairs it. */
export class PartialResourceError extends Error {
  readonly id: string;
  readonly outs: Properties;
  constructor(id: string, outs: Properties, reason: string, options?: ErrorOptions) {
    super(reason, options);
    this.name = "HalfMade";
    this.id = id;
    this.outs = outs;
  }
}

/** Properties whose change forces a replacement, by the kind's own table. */
export function replacementKeys(lifecycle: Record<string, ChangeAction>, olds: Properties, news: Properties): string[] {
  return Object.entries(lifecycle)
    .filter(([property, fate]) => fate === "replace" && !isDeepStrictEqual(olds[property], news[property]))
    .map(([property]) => property);
}

/** True when a property changed that Fly has to be told of. */
export function requiresUpdate(lifecycle: Record<string, ChangeAction>, olds: Properties, news: Properties): boolean {
  return Object.entries(lifecycle).some(
    ([property, fate]) => fate !== "ignored" && !isDeepStrictEqual(olds[property], news[property]),
  );
}
