import { expect, test } from "vitest";
import { FlyError } from "../../../fly/errors.ts";
import { retryAfterMs, retryFlyCall } from "../../../fly/retry.ts";
import type { Clock } from "../../../lib/clock.ts";

/** Time passes only by waiting. */
function clockOf() {
  let now = 1_000_000;
  const waits: number[] = [];
  const clock: Clock = {
    now: () => now,
    after(ms, run) {
      waits.push(ms);
      now += ms;
      run();
      return () => {};
    },
  };
  return { clock, waits };
}

const failing = (error: Partial<ConstructorParameters<typeof FlyError>[0]>) =>
  new FlyError({ operation: "do", detail: "no", ...error });

async function attempts(
  repeat: "idempotent" | "non-idempotent",
  error: FlyError,
  succeedAt = Number.POSITIVE_INFINITY,
) {
  const { clock, waits } = clockOf();
  let count = 0;
  const outcome = await retryFlyCall(repeat, { clock, random: () => 0.5 }, async () => {
    count += 1;
    if (count >= succeedAt) return "done";
    throw error;
  }).catch((it: unknown) => it);
  return { count, outcome, waits };
}

test.each([502, 503, 504])("a read is repeated on %i, five times at most", async (status) => {
  const error = failing({ status });
  expect(await attempts("idempotent", error)).toEqual({ count: 5, outcome: error, waits: [500, 1000, 2000, 4000] });
});

test.each([400, 401, 403, 404, 408, 409, 412, 422, 500])("a read is not repeated on %i", async (status) => {
  expect((await attempts("idempotent", failing({ status }))).count).toBe(1);
});

test("a write is repeated on 429, which did nothing", async () => {
  expect(await attempts("non-idempotent", failing({ status: 429 }), 3)).toMatchObject({ count: 3, outcome: "done" });
});

test.each(["idempotent", "non-idempotent"] as const)(
  "a rate limit is endured for a minute as a whole, %s",
  async (repeat) => {
    const error = failing({ status: 429 });
    const { outcome, waits } = await attempts(repeat, error);
    expect(outcome).toBe(error);
    const endured = waits.reduce((sum, ms) => sum + ms, 0);
    expect(endured).toBeGreaterThan(50_000);
    expect(endured).toBeLessThanOrEqual(60_000);
    expect(await attempts(repeat, error, 9)).toMatchObject({ count: 9, outcome: "done" });
  },
);

test("tries that met a rate limit are not counted among those that failed", async () => {
  const { clock } = clockOf();
  const answers = [429, 503, 429, 503, 429, 503, 429, 503];
  const outcome = await retryFlyCall("idempotent", { clock, random: () => 0.5 }, async () => {
    const status = answers.shift();
    if (status === undefined) return "done";
    throw failing({ status });
  });
  expect(outcome).toBe("done");
});

test.each([404, 401])(
  "below an app that was just made %i means that it is not known yet, and later what it says",
  async (status) => {
    const { clock } = clockOf();
    const born = clock.now();
    const of = { clock, random: () => 0.5, newUntil: born + 30_000 };
    let count = 0;
    const send = async () => {
      if (++count > 5) return "done";
      throw failing({ status });
    };
    expect(await retryFlyCall("non-idempotent", of, send)).toBe("done");
    count = Number.NEGATIVE_INFINITY;
    await expect(retryFlyCall("non-idempotent", of, send)).rejects.toThrow();
    expect(clock.now() - born).toBeGreaterThan(30_000);
    expect(clock.now() - born).toBeLessThan(50_000);
  },
);

test("a write is repeated when it was never sent", async () => {
  expect(await attempts("non-idempotent", failing({}), 2)).toMatchObject({ count: 2, outcome: "done" });
});

test.each([{ takesEffectBy: 0 }, { status: 503, takesEffectBy: 0 }, { status: 409 }])(
  "a write that may have happened is never repeated: %o",
  async (error) => {
    expect((await attempts("non-idempotent", failing(error))).count).toBe(1);
  },
);

test("an answer with a code of its own is final: no room does not come by asking again", async () => {
  expect((await attempts("idempotent", failing({ status: 503, code: "insufficient_capacity" }))).count).toBe(1);
});

test("Retry-After is honoured", async () => {
  expect((await attempts("non-idempotent", failing({ status: 429, retryAfter: "7" }), 2)).waits).toEqual([7000]);
});

test("a Retry-After beyond our timeout ends it at once", async () => {
  expect(await attempts("non-idempotent", failing({ status: 429, retryAfter: "3600" }))).toMatchObject({
    count: 1,
    waits: [],
  });
});

test.each([
  ["12", 12_000],
  ["Thu, 01 Jan 1970 00:00:05 GMT", 4_000],
  ["Thu, 01 Jan 1970 00:00:00 GMT", 0],
  ["soon", undefined],
  ["", undefined],
  [undefined, undefined],
])("Retry-After %j is %j milliseconds", (retryAfter, ms) => {
  expect(retryAfterMs({ retryAfter }, 1000)).toBe(ms);
});
