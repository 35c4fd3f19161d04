/**
 * The clock of a simulation: it jumps to the next timer as soon as nothing is left to run. Simulated code waits for promises only, so nothing is left
 * when the microtask queue is empty: a tick queued from a microtask runs after the last of them.
 * Not setImmediate: one turn of the event loop per timer is ten times as slow.
 */
import type { Clock } from "../../lib/clock.ts";

interface Timer {
  at: number;
  order: number;
  run: (() => void) | undefined;
}

export interface SimClock extends Clock {
  /** Lets time pass until `work` has settled. Rejects after `limitMs` of simulated time, or if no timer is left. */
  until<T>(work: Promise<T>, limitMs: number): Promise<T>;
  /** Lets time pass. */
  pass(ms: number): Promise<void>;
}

/** Work did not end in time, or can never end as no timer is left. */
export class DeadlockError extends Error {}

/** @param start milliseconds since the epoch. Default 2026-01-01T00:00:00Z */
export function simClock(start = Date.UTC(2026, 0, 1)): SimClock {
  let now = start;
  let order = 0;
  const timers = heap();

  const clock: SimClock = {
    now: () => now,
    after(ms, run) {
      // Whole milliseconds like the system clock, as ids are made from the time.
      const timer: Timer = { at: now + Math.max(Math.ceil(ms), 0), order: order++, run };
      timers.push(timer);
      return () => {
        timer.run = undefined;
      };
    },
    until(work, limitMs) {
      return new Promise((resolve, reject) => {
        const deadline = now + limitMs;
        let over = false;
        const end = (settle: () => void) => {
          over = true;
          settle();
        };
        work.then(
          (value) => end(() => resolve(value)),
          (error: unknown) => end(() => reject(error)),
        );
        const step = () => {
          if (over) return;
          const next = timers.pop();
          if (!next) return end(() => reject(new DeadlockError("nothing is left that could bring it to an end")));
          if (next.at > deadline) {
            timers.push(next);
            return end(() => reject(new DeadlockError(`it is not over after ${limitMs / 1000} s`)));
          }
          now = next.at;
          try {
            next.run?.();
          } catch (error) {
            return end(() => reject(error));
          }
          soon(step);
        };
        soon(step);
      });
    },
    pass: (ms) =>
      clock.until(
        new Promise<void>((resolve) => {
          clock.after(ms, resolve);
        }),
        ms,
      ),
  };
  return clock;
}

/** Runs after the last microtask. A tick queued outside of a microtask would run before them. */
const soon = (run: () => void): void => queueMicrotask(() => process.nextTick(run));

/** A binary heap of timers: earliest first, then in the order in which they were set. Cancelled timers are skipped when due. */
function heap() {
  const items: Timer[] = [];
  const before = (a: Timer, b: Timer) => a.at < b.at || (a.at === b.at && a.order < b.order);
  return {
    push(timer: Timer) {
      let at = items.length;
      items.push(timer);
      while (at > 0) {
        const parent = (at - 1) >> 1;
        const above = items[parent] as Timer;
        if (!before(timer, above)) break;
        items[at] = above;
        at = parent;
      }
      items[at] = timer;
    },
    pop(): Timer | undefined {
      for (;;) {
        const top = items[0];
        const last = items.pop();
        if (!top || !last) return undefined;
        if (items.length > 0) sink(last);
        if (top.run) return top;
      }
    },
  };

  function sink(timer: Timer): void {
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      const right = items[child + 1];
      if (right && before(right, items[child] as Timer)) child++;
      const below = items[child] as Timer;
      if (!before(below, timer)) break;
      items[at] = below;
      at = child;
    }
    items[at] = timer;
  }
}
