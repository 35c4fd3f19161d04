/** `preflight` with one thing going wrong at each of its calls in turn: nothing is left on Fly, and no wrong finding comes of it. */
import { describe, expect, test } from "vitest";
import { NoResponseError, type Transport } from "../../lib/http-transport.ts";
import { type PreflightRun, preflightBench } from "../support/preflight.ts";

/** What the call of this number (from 1) goes through. */
type Trouble = (at: number) => (inner: Transport) => Transport;

const at = (
  number: number,
  strike: (inner: Transport, exchange: Parameters<Transport>[0]) => ReturnType<Transport>,
) => {
  let calls = 0;
  return (inner: Transport): Transport =>
    (exchange) =>
      ++calls === number ? strike(inner, exchange) : inner(exchange);
};

const answer = (status: number, body: string) => ({ status, headers: { "fly-request-id": "01K-x" }, body });

const troubles: Record<string, Trouble> = {
  "no answer, done": (number) =>
    at(number, async (inner, exchange) => {
      await inner(exchange);
      throw new NoResponseError("socket hang up", "ECONNRESET");
    }),
  "500, done": (number) =>
    at(number, async (inner, exchange) => {
      await inner(exchange);
      return answer(500, '{"error":"internal"}');
    }),
  "503, nothing done": (number) => at(number, async () => answer(503, '{"error":"unavailable"}')),
};

/** The calls of a run that nothing happens to. */
const calls = await (async () => {
  using bench = await preflightBench();
  await bench.run();
  return bench.calls().map(({ method, path, query }) => `${method} ${path}?${query}`);
})();
const numbers = calls.map((_, index) => index + 1);
/** Without the repetitions of reads. */
const different = numbers.filter((number) => {
  const call = calls[number - 1] ?? "";
  return !call.startsWith("GET ") || calls.indexOf(call) === number - 1;
});

/** What a single failed call may rightly be found against. */
const ofTheCall = ["affinity-cookie", "answers-in-time", "pace-is-kept"];

const wrong = ({ report }: PreflightRun): string[] =>
  (report?.findings ?? [])
    .filter(({ id, verdict }) => verdict === "does not hold" && !ofTheCall.includes(id))
    .map(({ id, seen }) => `${id}: ${seen}`);

describe("one call fails", () => {
  test.each(Object.entries(troubles))("%s", async (_, trouble) => {
    const bad: unknown[] = [];
    for (const number of different) {
      using bench = await preflightBench();
      const run = await bench.run({}, { road: trouble(number) });
      if (bench.apps().length > 0 || wrong(run).length > 0)
        bad.push({
          number,
          call: calls[number - 1],
          apps: bench.apps(),
          wrong: wrong(run),
          err: run.err.split("\n").slice(-3),
        });
    }
    expect(bad).toEqual([]);
  });
});

test("killed after any of its calls: the next run finds and removes what is left", async () => {
  const bad: unknown[] = [];
  let left = 0;
  for (const number of numbers) {
    using bench = await preflightBench();
    let calls = 0;
    const road =
      (inner: Transport): Transport =>
      async (exchange) => {
        if (++calls === number) await inner(exchange);
        if (calls >= number) throw new Error("killed");
        return inner(exchange);
      };
    await bench.run({}, { road });
    left += bench.apps().length;
    const { code, err } = await bench.run({ clean: true });
    if (bench.apps().length > 0 || code !== 0) bad.push({ number, apps: bench.apps(), code, err });
  }
  expect(bad).toEqual([]);
  // Most calls lie between the creation of the app and its removal.
  expect(left).toBeGreaterThan(calls.length / 2);
});

test("Ctrl-C at any call: cleaned up, code 130, the report says so", async () => {
  const bad: unknown[] = [];
  for (const number of numbers) {
    using bench = await preflightBench();
    const interrupt = new AbortController();
    const road = at(number, (inner, exchange) => {
      interrupt.abort(new Error("interrupted"));
      return inner(exchange);
    });
    const run = await bench.run({}, { road, context: { interrupted: interrupt.signal } });
    if (bench.apps().length > 0 || run.code !== 130 || wrong(run).length > 0)
      bad.push({ number, apps: bench.apps(), code: run.code, wrong: wrong(run), err: run.err });
  }
  expect(bad).toEqual([]);
});
