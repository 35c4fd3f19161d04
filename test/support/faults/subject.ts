/** One object on its way through runs of the engine: what Pulumi keeps of it, and which call of the handler the next `up` makes. */
import { isDeepStrictEqual } from "node:util";
import { type Context, type Handler, PartialResourceError, type Properties } from "../../../providers/handler.ts";

export interface Subject {
  /** What `up` does for this object: create, update or delete. Throws what the handler throws; state is kept as the engine keeps it. */
  up(context: Context): Promise<void>;
  /** What `refresh` does: takes over what is found, or forgets what is gone. */
  refresh(context: Context): Promise<void>;
  /** True when the next `up` would do nothing. */
  settled(): boolean;
  /** All that is in state, as text. */
  state(): string;
}

/** @param goal inputs as the program has them; undefined: the program has it no more */
export function subject<I extends Properties, O extends I>(
  handler: Handler<I, O>,
  before: { id: string; outs: O; inputs: I } | undefined,
  goal: I | undefined,
): Subject {
  let state = before && { ...before, halfMade: false };
  const unfinished = () => state !== undefined && (state.halfMade || (handler.isPartial?.(state.outs) ?? false));
  return {
    async up(context) {
      try {
        if (!goal) {
          if (state) await handler.delete(state.id, state.outs, context);
          state = undefined;
        } else if (!state) {
          state = { ...(await handler.create(goal, context)), inputs: goal, halfMade: false };
        } else if (unfinished() || !isDeepStrictEqual(state.inputs, goal)) {
          const outs = await handler.update(state.id, state.outs, goal, context);
          state = { id: state.id, outs, inputs: goal, halfMade: false };
        }
      } catch (error) {
        // The engine keeps the new inputs with what was half made, and calls update for it the next time, whatever has changed by then.
        if (error instanceof PartialResourceError && goal)
          state = { id: error.id, outs: error.outs as O, inputs: goal, halfMade: true };
        throw error;
      }
    },
    async refresh(context) {
      if (!state) return;
      const found = await handler.read(state.id, state.outs, context);
      // A refresh makes the engine forget what was half made: the handler has to know it from its outputs.
      state = found && { id: found.id ?? state.id, outs: found.outs, inputs: found.inputs, halfMade: false };
    },
    settled: () => (goal ? !!state && !unfinished() && isDeepStrictEqual(state.inputs, goal) : !state),
    state: () => JSON.stringify(state ?? null),
  };
}
