/** Reports slow responses of Fly, so that a waiting command does not look like a crash. */
import type { Clock } from "../lib/clock.ts";
import { type CliContext, note } from "./context.ts";

const silentMs = 2_000;

/** Calls that take as long as a program in a PoP or a machine's boot, and are not reported. */
const slowCalls = new Set<string | symbol>(["execMachine", "waitMachine"]);

/** Wraps an object so that the first slow call is reported on standard error, if it is a terminal. `whom`: as in "Waiting for Fly at ...". */
export function withWaitNotices<T extends object>(context: CliContext, whom: string, calls: T): T {
  if (!context.isWatched) return calls;
  let isReported = false;
  const report = () => {
    if (!isReported) note(context, `Waiting for ${whom}: no response for ${silentMs / 1000} s. Press Ctrl-C to stop.`);
    isReported = true;
  };
  return new Proxy(calls, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        const result: unknown = value.apply(target, args);
        return result instanceof Promise && !slowCalls.has(key) ? noticeAfter(context.clock, result, report) : result;
      };
    },
  });
}

function noticeAfter<T>(clock: Clock, call: Promise<T>, report: () => void): Promise<T> {
  const cancel = clock.after(silentMs, report);
  return call.finally(cancel);
}
