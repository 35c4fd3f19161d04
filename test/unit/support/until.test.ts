import { expect, test } from "vitest";
import { errorMessage } from "../../support/error-message.ts";
import { until } from "../../support/until.ts";

/** A poll that sees one value after the other, and the last one from then on. */
function values<T>(...seen: T[]) {
  let polls = 0;
  return { poll: () => seen[Math.min(polls++, seen.length - 1)] as T, polls: () => polls };
}

test("until returns the first value that is as expected", async () => {
  const { poll, polls } = values(1, 2, 3, 4);
  expect(await until(poll, (seen) => seen >= 3, { everyMs: 1 })).toBe(3);
  expect(polls()).toBe(3);
});

test("until fails with what was expected and the last value", async () => {
  const { poll } = values("starting", "failed");
  expect(await errorMessage(until(poll, (seen) => seen === "ok", { seconds: 0.05, everyMs: 1 }))).toBe(
    'not within 0.05 s: (seen) => seen === "ok"\nlast seen: "failed"',
  );
  expect(await errorMessage(until(poll, () => false, { seconds: 0, what: "the process ends" }))).toBe(
    'not within 0 s: the process ends\nlast seen: "failed"',
  );
});

test("until rejects with the error of a poll, and with retriesErrors polls again", async () => {
  const failing = () => Promise.reject(new Error("connection refused"));
  expect(await errorMessage(until(failing, () => true))).toBe("connection refused");
  const options = { seconds: 0.05, everyMs: 1, retriesErrors: true, what: "it answers" };
  expect(await errorMessage(until(failing, () => true, options))).toBe(
    "not within 0.05 s: it answers\nlast seen: Error: connection refused",
  );
  let polls = 0;
  const second = () => (polls++ === 0 ? failing() : Promise.resolve("up"));
  expect(await until(second, (seen) => seen === "up", options)).toBe("up");
});
