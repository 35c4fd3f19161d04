/**
 * Time for tests: it stops while anything happens, and jumps to the next timer when everybody waits for it. Deterministic over real
 * loopback sockets too, because every request in progress is registered, so that it need not guess from silence.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { ClientRequest, IncomingMessage } from "node:http";
import type { Clock } from "../../lib/clock.ts";

interface Timer {
  at: number;
  order: number;
  run: () => void;
  /** A test waits for it; time does not pass for background timers alone (a health check would run without end). */
  foreground: boolean;
}

export interface VirtualClock extends Clock {
  /** The same time for servers: their timers fire as time passes, but time does not pass for them. */
  readonly background: Clock;
  /** Work is in progress that ends by itself: time stops until the returned function is called. */
  hold(): () => void;
  /** A caller waits for what only time can bring: a reason to go on. `tracked`: a request that `trackHttp` counts has reached its server. */
  wait(how?: { tracked: boolean }): () => void;
  /** Lets time pass while things go their way; what is due at the last millisecond has happened too. */
  advance(ms: number): Promise<void>;
  /** Counts requests of node's HTTP client to a port as under way until their answer arrives, or a server says they wait. */
  trackHttp(port: number): void;
  close(): void;
}

/** Turns of the event loop without news after which nothing is under way: promises, ticks and delivered bytes all need fewer. */
const quietTurns = 4;

/** @param start milliseconds since the epoch. Default 2026-01-01T00:00:00Z */
export function virtualClock(start = Date.UTC(2026, 0, 1)): VirtualClock {
  let now = start;
  let order = 0;
  let holds = 0;
  let waits = 0;
  let trackedWaits = 0;
  let news = 0;
  let watching = false;
  let closed = false;
  const timers = new Set<Timer>();
  const ports = new Set<string>();
  const ends = new Map<ClientRequest, () => void>();

  const counted = (count: (by: 1 | -1) => void) => () => {
    let over = false;
    count(1);
    happened();
    return () => {
      if (over) return;
      over = true;
      count(-1);
      happened();
    };
  };
  const hold = counted((by) => {
    holds += by;
  });
  const wait = counted((by) => {
    waits += by;
  });
  const waitTracked = counted((by) => {
    waits += by;
    trackedWaits += by;
  });
  const busy = () => holds > trackedWaits;

  function add(timer: Timer): () => void {
    timers.add(timer);
    happened();
    return () => {
      timers.delete(timer);
    };
  }
  const view = (foreground: boolean): Clock => ({
    now: () => now,
    after: (ms, run) => add({ at: now + Math.max(ms, 0), order: order++, run, foreground }),
  });

  function happened(): void {
    news++;
    if (watching || closed) return;
    watching = true;
    turn(news, 0);
  }

  function turn(seen: number, quiet: number): void {
    setImmediate(() => {
      if (closed) return;
      if (seen !== news) return turn(news, 0);
      if (busy()) {
        // The holder says when it is over.
        watching = false;
        return;
      }
      if (quiet < quietTurns) return turn(seen, quiet + 1);
      watching = false;
      fireNext();
    });
  }

  function fireNext(): void {
    const wanted = waits > 0 || [...timers].some((it) => it.foreground);
    if (!wanted) return;
    let next: Timer | undefined;
    for (const timer of timers)
      if (!next || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) next = timer;
    if (!next) return;
    timers.delete(next);
    now = Math.max(now, next.at);
    next.run();
    happened();
  }

  const onStart = (message: unknown) => {
    const { request } = message as { request: ClientRequest };
    if (ports.has(String(request.getHeader("host")).split(":")[1] ?? "")) ends.set(request, hold());
  };
  const over = (request: ClientRequest) => {
    ends.get(request)?.();
    ends.delete(request);
  };
  const channels = [
    ["http.client.request.start", onStart],
    [
      "http.client.response.finish",
      (message: unknown) => {
        // Only its head is there: a long body needs turns in which nothing else happens.
        const { request, response } = message as { request: ClientRequest; response: IncomingMessage };
        response.once("close", () => over(request));
      },
    ],
    ["http.client.request.error", (message: unknown) => over((message as { request: ClientRequest }).request)],
  ] as const;

  return {
    ...view(true),
    background: view(false),
    hold,
    wait: (how) => (how?.tracked ? waitTracked() : wait()),
    advance: (ms) =>
      new Promise((resolve) => {
        // Last of its instant: what is due by then has happened.
        add({ at: now + ms, order: Number.POSITIVE_INFINITY, run: resolve, foreground: true });
      }),
    trackHttp(port) {
      if (ports.size === 0) for (const [name, listener] of channels) subscribe(name, listener);
      ports.add(String(port));
    },
    close() {
      closed = true;
      timers.clear();
      for (const [name, listener] of channels) unsubscribe(name, listener);
    },
  };
}
