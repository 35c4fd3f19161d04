import { expect, test } from "vitest";
import { phaseOf, pictureOf, type Sample } from "../../../../cli/dashboard/picture.ts";
import { parseMetrics } from "../../../../cli/metrics.ts";
import { buildPopStatus } from "../../../../cli/pop-status.ts";
import type { Machine } from "../../../../fly/wire.ts";
import { eventText } from "../../../../status-page/picture.ts";
import { scrape } from "../../../support/metrics.ts";

const now = Date.UTC(2026, 0, 1);
const head = { title: "prod", about: [], problem: null, none: "", gone: "" };

const machine = (over: Partial<Machine> = {}): Machine => ({
  id: "m1",
  state: "started",
  instance_id: "01A",
  config: { image: `registry.example/pop@sha256:${"1".repeat(64)}` },
  events: [{ type: "start", status: "started", timestamp: now - 3_600_000 }],
  checks: [{ name: "health", status: "passing" }],
  ...over,
});
const failing = [{ name: "health", status: "critical" }];

test.each<[string, Machine | undefined, string]>([
  ["wanted and not there", undefined, "missing"],
  ["well", machine(), "serving"],
  ["cordoned", machine({ cordoned: true }), "drained"],
  ["just booted", machine({ checks: failing, events: [{ type: "start", timestamp: now - 2_000 }] }), "checking"],
  ["long up without a passing check", machine({ checks: failing }), "failing"],
  ["on a host that does not answer", machine({ host_status: "unreachable" }), "unreachable"],
  ["in an update", machine({ state: "replacing" }), "updating"],
  ["stopped", machine({ state: "stopped", checks: failing }), "stopped"],
  ["suspended", machine({ state: "suspended" }), "stopped"],
  ["being destroyed", machine({ state: "destroying" }), "leaving"],
])("a PoP that is %s", (_, it, phase) => {
  expect(phaseOf(it, now)).toBe(phase);
});

function sample(name: string, at: number, sites: Parameters<typeof scrape>[0] | undefined, it = machine()): Sample {
  const pop = { name, region: name.slice(0, 3), machine: it };
  const certificates = [
    { host: "a.example", notAfter: name === "cdg-1" ? "2026-03-01T00:00:00Z" : "2026-02-01T00:00:00Z" },
  ];
  const health = {
    status: "ok",
    components: {},
    certificates,
    origins: [],
    maintenance: [],
    ports: {},
    passThrough: {},
  };
  const reading = sites && parseMetrics(scrape(sites));
  return { pop, status: buildPopStatus(pop, { health }), at, ...(reading && { reading }) };
}

test("rates are those between two samples; a PoP that was not asked has none, and is not a 0 in the sums", () => {
  const before = [
    sample("cdg-1", now - 10_000, { "a.example": { ok: 100, hits: 50, fast: 100 } }),
    sample("ewr-1", now - 10_000, undefined),
  ];
  const latest = [
    sample("cdg-1", now, { "a.example": { ok: 190, errors: 10, hits: 110, misses: 20, fast: 200 }, other: {} }),
    sample("ewr-1", now, { "a.example": { ok: 1_000_000 } }),
  ];
  const seen = pictureOf(head, now, before, latest);
  expect(seen.totals).toEqual({
    serving: 2,
    requestsPerSecond: 10,
    errorsPerSecond: 1,
    hitRate: 0.75,
    connections: null,
  });
  expect(seen.pops.map(({ requestsPerSecond }) => requestsPerSecond)).toEqual([10, null]);
  expect(seen.sites).toEqual([
    {
      ...{
        site: "a.example",
        requestsPerSecond: 10,
        errorsPerSecond: 1,
        hitRate: 0.75,
        p95Seconds: expect.closeTo(0.095),
      },
      certificate: { begins: null, ends: Date.UTC(2026, 1, 1), selfSigned: false },
    },
  ]);
});

test("before the second look there are no rates, and certificates already", () => {
  const seen = pictureOf(head, now, [sample("cdg-1", now, {})], [sample("cdg-1", now, {})]);
  expect(seen.totals).toMatchObject({ requestsPerSecond: null, errorsPerSecond: null, hitRate: null });
  expect(seen.sites).toMatchObject([{ site: "a.example", requestsPerSecond: 0, certificate: { selfSigned: false } }]);
});

test("a PoP counts as updated when it runs the newest version's image and serves", () => {
  const newer = machine({ instance_id: "01B", config: { image: `registry.example/pop@sha256:${"2".repeat(64)}` } });
  const both = [sample("cdg-1", now, undefined), sample("ewr-1", now, undefined, newer)];
  expect(pictureOf(head, now, [], both).rollout).toEqual({ image: "222222222222", done: 1, of: 2 });
  const updating = [sample("cdg-1", now, undefined), sample("ewr-1", now, undefined, machine({ state: "replacing" }))];
  expect(pictureOf(head, now, [], updating).rollout).toMatchObject({ done: 1, of: 2 });
  const stopped = [sample("cdg-1", now, undefined), sample("ewr-1", now, undefined, machine({ state: "stopped" }))];
  expect(pictureOf(head, now, [], stopped).rollout).toMatchObject({ done: 2, of: 2 });
});

test.each([
  [{ type: "exit", request: { exit_event: { exit_code: 0, requested_stop: true } } }, "ended, exit code 0, as asked"],
  [{ type: "exit", request: { exit_event: { guest_exit_code: 3 } } }, "ended, exit code 3"],
  [{ type: "exit", request: { exit_event: { guest_signal: 11 } } }, "ended by signal 11"],
  [{ type: "exit", request: { exit_event: { oom_killed: true, guest_signal: 9 } } }, "ran out of memory"],
  [{ type: "start", status: "started" }, "started"],
  [{ type: "restart", status: "pending" }, "restart, pending"],
])("an event with its reason: %j", (event, text) => {
  expect(eventText(event)).toBe(text);
});
