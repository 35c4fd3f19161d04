import { expect, test } from "vitest";
import { sleep } from "../../../lib/clock.ts";
import { withLease } from "../../../providers/fly/lease.ts";
import { app } from "../../support/context.ts";
import { faultFixture, liveMachines } from "../../support/faults/fixture.ts";
import { operations } from "../../support/faults/operations.ts";
import { dryRun } from "../../support/faults/run.ts";

/** A machine, and its lease held for a while. */
async function held(ms: number, strike?: (faults: Awaited<ReturnType<typeof faultFixture>>["fly"]["faults"]) => void) {
  const fixture = await faultFixture();
  await operations.find(({ kind, name }) => kind === "Machine" && name === "read")?.prepare(fixture);
  const id = liveMachines(fixture.fly.snapshot())[0]?.id ?? "";
  fixture.fly.calls.clear();
  strike?.(fixture.fly.faults);
  const of = { app, id, pop: "cdg-1", purpose: "test of" };
  const lost: unknown[] = [];
  const work = withLease(of, fixture.context(), async (lease) => {
    lease.lost.addEventListener("abort", () => lost.push(lease.lost.reason));
    await sleep(fixture.clock, ms);
  });
  return { fixture, id, work, lost };
}

const lease = (fixture: Awaited<ReturnType<typeof faultFixture>>) => liveMachines(fixture.fly.snapshot())[0]?.lease;

test("a lease is renewed at half its time for as long as the work takes, and released at its end", async () => {
  const { fixture, work, lost } = await held(100_000);
  await using _ = fixture;
  await work;
  expect(fixture.fly.calls.count("POST machines/:id/lease")).toBe(4);
  expect([lease(fixture), lost]).toEqual([undefined, []]);
});

test("a renewal that is still in progress when the work ends creates no new lease", async () => {
  const { fixture, work } = await held(31_000, (faults) =>
    faults.add({ match: "POST machines/:id/lease", nth: 2, fault: { kind: "slow", ms: 5_000 } }),
  );
  await using _ = fixture;
  await work;
  // Long enough for the late call to have been answered, too short for a lease made by it to have run out.
  await fixture.clock.advance(10_000);
  expect(lease(fixture)).toBeUndefined();
  await fixture.clock.advance(600_000);
  expect(fixture.fly.calls.count("POST machines/:id/lease")).toBe(2);
});

test("a lease that ended during the work is reported, not silently taken again", async () => {
  const { fixture, work, lost } = await held(40_000, (faults) =>
    faults.add({ match: "POST machines/:id/lease", nth: 2, fault: { kind: "lease lost" } }),
  );
  await using _ = fixture;
  await work;
  expect(String(lost[0])).toMatch(/the lease of machine [0-9a-f]{14} expired during the operation/);
});

test("a healthy update is over before its lease has to be renewed", async () => {
  const update = operations.find(({ kind, name }) => kind === "Machine" && name === "update");
  const routes = update ? await dryRun(update) : [];
  expect(routes.filter((route) => route === "POST machines/:id/lease")).toHaveLength(1);
});
