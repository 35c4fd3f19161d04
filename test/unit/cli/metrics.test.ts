import { describe, expect, test } from "vitest";
import { counterIncrease, parseMetrics, quantile, ratesOf, sumCounters } from "../../../cli/metrics.ts";
import { scrape } from "../../support/metrics.ts";

const www = "www.example.org";

test("a scrape is read by site: requests, 5xx, what the cache answered of what it could, times", () => {
  const text = scrape({
    [www]: { ok: 90, errors: 10, rejected: 5, hits: 60, misses: 30, passed: 10, fast: 95, slow: 5 },
  });
  expect(parseMetrics(text)?.get(www)).toEqual({
    requests: 100,
    errors: 10,
    rejected: 5,
    hits: 60,
    cacheable: 90,
    seconds: new Map([
      [0.1, 95],
      [1, 100],
      [Number.POSITIVE_INFINITY, 100],
    ]),
  });
});

test.each([
  ["", undefined],
  ["pop: ask metrics: no such command", undefined],
  ["<html>502</html>", undefined],
  ['# nothing yet\npop_info{pop="cdg-1"} 1\n', new Map()],
])("%j: an invalid scrape is undefined, an empty one is empty", (text, reading) => {
  expect(parseMetrics(text)).toEqual(reading);
});

test("a PoP that is not updated yet is read by the former names", () => {
  const former = scrape({
    [www]: { ok: 90, errors: 10, rejected: 5, hits: 60, misses: 30, passed: 10, fast: 95, slow: 5 },
  })
    .replaceAll("pop_requests_rejected_total", "pop_rejected_requests_total")
    .replaceAll("pop_request_duration_seconds", "pop_request_seconds");
  expect(parseMetrics(former)?.get(www)).toMatchObject({
    rejected: 5,
    seconds: new Map([
      [0.1, 95],
      [1, 100],
      [Number.POSITIVE_INFINITY, 100],
    ]),
  });
});

test("labels are unescaped", () => {
  const text = 'pop_info{pop="x"} 1\npop_requests_total{site="a\\\\b\\"c\\nd",status="2xx"} 3\n';
  expect([...(parseMetrics(text) ?? [])].map(([site, { requests }]) => [site, requests])).toEqual([['a\\b"c\nd', 3]]);
});

const reading = (of: Parameters<typeof scrape>[0]) => parseMetrics(scrape(of)) ?? new Map();

describe("what was counted between two readings", () => {
  test("is the difference, by site", () => {
    const between = counterIncrease(
      reading({ [www]: { ok: 100, errors: 1 } }),
      reading({ [www]: { ok: 150, errors: 3 }, b: { ok: 4 } }),
    );
    expect([...between].map(([site, { requests, errors }]) => [site, requests, errors])).toEqual([
      [www, 52, 2],
      ["b", 4, 0],
    ]);
  });

  test("is all of the later ones if the process started again", () => {
    const between = counterIncrease(
      reading({ [www]: { ok: 1000 }, b: { ok: 1 } }),
      reading({ [www]: { ok: 7 }, b: { ok: 2 } }),
    );
    expect([...between].map(([site, { requests }]) => [site, requests])).toEqual([
      [www, 7],
      ["b", 2],
    ]);
  });
});

test("rates: of nothing they are 0 or unknown, never NaN", () => {
  const none = {
    requestsPerSecond: 0,
    errorsPerSecond: 0,
    rejectedPerSecond: 0,
    errorRate: null,
    hitRate: null,
    p95Seconds: null,
  };
  expect(ratesOf(sumCounters([]), 2)).toEqual(none);
  expect(ratesOf(sumCounters([]), 0)).toEqual(none);
  expect(
    ratesOf(sumCounters(reading({ [www]: { ok: 9, errors: 1, hits: 3, misses: 1, fast: 10 } }).values()), 2),
  ).toEqual({
    requestsPerSecond: 5,
    errorsPerSecond: 0.5,
    rejectedPerSecond: 0,
    errorRate: 0.1,
    hitRate: 0.75,
    p95Seconds: expect.closeTo(0.095),
  });
});

test.each<[string, [number, number][], number | null]>([
  [
    "of nothing there is none",
    [
      [1, 0],
      [Number.POSITIVE_INFINITY, 0],
    ],
    null,
  ],
  [
    "evenly within a bucket",
    [
      [1, 0],
      [2, 100],
      [Number.POSITIVE_INFINITY, 100],
    ],
    1.95,
  ],
  [
    "of what is above the last bound, that bound",
    [
      [1, 10],
      [Number.POSITIVE_INFINITY, 100],
    ],
    1,
  ],
  ["without buckets there is none", [], null],
])("the 95th percentile: %s", (_, buckets, wanted) => {
  expect(quantile(new Map(buckets), 0.95)).toBe(wanted);
});
