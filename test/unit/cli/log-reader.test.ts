import { expect, test } from "vitest";
import { backward, forward, nanosAt, type ReadPage } from "../../../cli/log-reader.ts";
import { type LogEntry, nanosOf } from "../../../fly/logs.ts";

const now = Date.parse("2026-03-01T02:00:00Z");

/** Fly with these lines: the newest hundred without a token, else the first hundred after it. */
function flyWith(timestamps: string[]) {
  const calls: (string | undefined)[] = [];
  const all = timestamps.map(
    (timestamp): LogEntry => ({ timestamp, message: timestamp, level: "", instance: "", region: "" }),
  );
  const read: ReadPage = (token) => {
    calls.push(token);
    const entries =
      token === undefined
        ? all.slice(-100)
        : all.filter((it) => (nanosOf(it.timestamp) ?? 0n) > BigInt(token)).slice(0, 100);
    return Promise.resolve({ entries, token: String(nanosOf(entries.at(-1)?.timestamp ?? "") ?? token ?? "") });
  };
  return { read, calls };
}

/** A line every so many ms, the newest now. */
const every = (ms: number, count: number): string[] =>
  Array.from({ length: count }, (_, index) => new Date(now - (count - 1 - index) * ms).toISOString());

const pick = ({ message }: LogEntry) => [message];

test("nanoseconds of a time are all of them", () => {
  expect(nanosOf("2026-03-01T02:00:00.123456789Z")).toBe(nanosAt(now) + 123_456_789n);
  expect(nanosOf("2026-03-01T03:00:00.5+01:00")).toBe(nanosAt(now) + 500_000_000n);
  expect(nanosOf("2026-03-01T02:00:00Z")).toBe(nanosAt(now));
  expect(nanosOf("soon")).toBeUndefined();
});

test("forward: every line since then, once, page by page", async () => {
  const lines = every(1_000, 450);
  const { read, calls } = flyWith(lines);
  const found = [];
  for await (const { entries } of forward(read, nanosAt(now - 300_000))) found.push(...entries.flatMap(pick));
  expect(found).toEqual(lines.slice(-301));
  // Four with lines, and one that has none.
  expect(calls).toHaveLength(5);
});

test("one page is enough where nothing is left out", async () => {
  const { read, calls } = flyWith(every(1_000, 450));
  const { lines } = await backward(read, { now, pick });
  expect(lines).toEqual(every(1_000, 100));
  expect(calls).toEqual([undefined]);
});

test("backward: the newest so many, in order, none twice, whatever page they are on", async () => {
  const lines = every(700, 3_000);
  const { read } = flyWith(lines);
  expect((await backward(read, { count: 500, now, pick })).lines).toEqual(lines.slice(-500));
});

test("lines of one millisecond that a page cuts in two are all found", async () => {
  const lines = Array.from({ length: 150 }, (_, index) => `2026-03-01T01:59:59.000${String(index).padStart(6, "0")}Z`);
  const { read } = flyWith(lines);
  expect((await backward(read, { count: 150, now, pick })).lines).toEqual(lines);
});

test("backward: a rare line is looked for until it is found, and not beyond", async () => {
  const lines = every(60_000, 1_000);
  const { read, calls } = flyWith(lines);
  const rare = lines[300];
  const { lines: found, stoppedAt } = await backward(read, {
    count: 1,
    now,
    pick: (it) => (it.message === rare ? [it.message] : []),
  });
  expect({ found, stoppedAt }).toEqual({ found: [rare], stoppedAt: undefined });
  expect(calls.length).toBeLessThan(25);
});

test("backward: no older than asked, with an end where there is nothing", async () => {
  const { read } = flyWith(every(60_000, 1_000));
  const { lines } = await backward(read, { count: 500, since: now - 600_000, now, pick });
  expect(lines).toEqual(every(60_000, 11));
  expect(await backward(flyWith([]).read, { count: 500, now, pick })).toMatchObject({ lines: [] });
});

test("backward: it gives up after sixty pages and says how far it came, without a gap", async () => {
  const lines = every(5, 20_000);
  const { read, calls } = flyWith(lines);
  const { lines: found, stoppedAt } = await backward(read, { count: 15_000, now, pick });
  expect(calls).toHaveLength(61);
  expect(found).toEqual(lines.slice(-found.length));
  expect(stoppedAt?.toISOString()).toBe(found[0]);
});
