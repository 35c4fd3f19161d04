/** The interface of a resource handler. Independent of Pulumi, so that tests run handlers without it. */
import { isDeepStrictEqual } from "node:util";
import type { z } from "zod";
import type { Fly } from "../fly/api.ts";
import type { Clock } from "../lib/clock.ts";
import type { Sops } from "../sops/cli.ts";
import type { ControlServer, TailnetApi } from "../tailnet/tailnet-api.ts";
import type { RolloutGate } from "./rollout-gate.ts";

/** What a handler needs for I/O. */
export interface Context {
  fly: Fly;
  clock: Clock;
  /** Shows the user a line of progress. */
  log: (line: string) => void;
  rollout: RolloutGate;
  /** Ids of volumes that the operator abandoned (`npx fly-pops replace`). They count as gone, whatever Fly returns for them. */
  givenUp?: ReadonlySet<string>;
  /** Former names of the stack, from its records in state: objects marked with one of them belong to it. */
  formerNames?: ReadonlySet<string>;
  sops: Sops;
  /** Client of the control server's API, with the credentials of stack config or environment. Throws if there are none. */
  tailnet: (of: ControlServer) => TailnetApi;
}

/** What a change of a property causes. "ignored": the new value is stored without any call. */
export type ChangeAction = "replace" | "update" | "ignored";

export interface CheckFailure {
  /** Path of the input, e.g. config.guest.memory_mb */
  property: string;
  reason: string;
}

/** Properties as stored in state: strict JSON. */
export type Properties = Record<string, unknown>;

/** What this process knows of the records of a resource type in state. The engine passes only one record to create and delete. */
export interface Records<Inputs> {
  /** Inputs of the records in state. */
  known: readonly Inputs[];
  /**
   * Inputs of objects to keep, by id: those created, adopted, updated or found unchanged in this run. After a forced create (`--replace`, taint, a
   * record renamed in state), which finds the existing object, the engine deletes the former record of the same object.
   */
  kept: ReadonlyMap<string, Inputs>;
}

export const noRecords: Records<never> = { known: [], kept: new Map<string, never>() };

export interface Handler<Inputs extends Properties, Outputs extends Inputs> {
  /** Schema of the inputs. It fills in no defaults, so that inputs are what the program wrote. */
  schema: z.ZodType<Inputs>;
  lifecycle: Record<keyof Inputs & string, ChangeAction>;
  /** Inputs that are used only at create. Existing objects keep theirs, so that no preview shows a change. */
  hints?: readonly (keyof Inputs & string)[];
  /** Whether the old object must be deleted before the new one is created, as its name is unique. */
  deleteBeforeReplace: boolean;
  /** Rules that the schema cannot express, e.g. that a volume cannot shrink. No I/O. */
  check?(olds: Inputs | undefined, news: Inputs): CheckFailure[];
  /**
   * Checks whether the object belongs to another stack. @returns the reason as a sentence; undefined: no conflict. Called before anything is created,
   * in previews too if credentials are available. Lists each app once per run.
   */
  conflict?(inputs: Inputs, context: Context): Promise<string | undefined>;
  /** Whether a create or update left the object incomplete: then `update` is called although no input differs. */
  isPartial?(outs: Outputs): boolean;
  /** Finds the object or creates it. */
  create(inputs: Inputs, context: Context, records?: Records<Inputs>): Promise<{ id: string; outs: Outputs }>;
  /** Reads the object; undefined: it is gone. `inputs` of the result show drift; `id` is set if the object has another id now. */
  read(
    id: string,
    outs: Outputs,
    context: Context,
  ): Promise<{ id?: string; outs: Outputs; inputs: Inputs } | undefined>;
  update(id: string, olds: Outputs, news: Inputs, context: Context): Promise<Outputs>;
  /** Succeeds if the object is already gone. Not called for an object that is kept. */
  delete(id: string, outs: Outputs, context: Context, records?: Records<Inputs>): Promise<void>;
}

/** Thrown by create and update if the object exists but is not as desired: state keeps it with the reason, and the next `up` repairs it. */
export class PartialResourceError extends Error {
  readonly id: string;
  readonly outs: Properties;
  constructor(id: string, outs: Properties, reason: string, options?: ErrorOptions) {
    super(reason, options);
    this.name = "PartialResourceError";
    this.id = id;
    this.outs = outs;
  }
}

/** Changed properties that force a replacement. */
export function replacementKeys(lifecycle: Record<string, ChangeAction>, olds: Properties, news: Properties): string[] {
  return Object.entries(lifecycle)
    .filter(([property, fate]) => fate === "replace" && !isDeepStrictEqual(olds[property], news[property]))
    .map(([property]) => property);
}

/** Whether a property changed that requires a call. */
export function requiresUpdate(lifecycle: Record<string, ChangeAction>, olds: Properties, news: Properties): boolean {
  return Object.entries(lifecycle).some(
    ([property, fate]) => fate !== "ignored" && !isDeepStrictEqual(olds[property], news[property]),
  );
}
