/** Says so when Fly lets a command wait, so that silence is not taken for a crash. */
import type { Clock } from "../providers/clock.ts";
import { note, type World } from "./world.ts";

const silentMs = 2_000;

/** Calls that take as long as a program in a PoP, or a machine's boot. */
const patient = new Set<string | symbol>(["execMachine", "waitMachine"]);

/** The same object, whose calls that take long are told once on standard error where somebody watches. `whom`: as in "Waiting for Fly at ...". */
export function tellingWaits<T extends object>(world: World, whom: string, calls: T): T {
  if (!world.isWatched) return calls;
  let told = false;
  const tell = () => {
    if (!told) note(world, `Waiting for ${whom}: no answer for ${silentMs / 1000} s. Ctrl-C ends it.`);
    told = true;
  };
  return new Proxy(calls, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        const result: unknown = value.apply(target, args);
        return result instanceof Promise && !patient.has(key) ? telling(world.clock, result, tell) : result;
      };
    },
  });
}

function telling<T>(clock: Clock, call: Promise<T>, tell: () => void): Promise<T> {
  const cancel = clock.after(silentMs, tell);
  return call.finally(cancel);
}
