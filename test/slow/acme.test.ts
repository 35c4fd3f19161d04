/** Certificates renewed while PoPs stop, hang and are updated: no challenge is lost, no request fails. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { machineHandler } from "../../providers/fly/machine.ts";
import {
  allHosts,
  authority,
  bootedAt,
  challenge,
  close,
  context,
  exec,
  failedValidations,
  fly,
  holdLooks,
  local,
  look,
  looks,
  open,
  outcomes,
  perPop,
  pops,
  renew,
  report,
  signal,
  sites,
  some,
  statusesUntil,
  timed,
  untilTrusted,
  whileHeld,
} from "../e2e/acme-pops.ts";
import { app } from "../support/context.ts";
import { until } from "../support/until.ts";

beforeAll(async () => {
  await open();
  await Promise.all(pops.map((pop) => untilTrusted(pop)));
});
afterAll(close);
afterEach(() => holdLooks());

test("with a PoP stopped in the middle the others renew, and no look is lost", async () => {
  const [one, two, gone] = pops;
  const [since, orders] = [looks.length, authority.orders()];
  let stopped: Promise<unknown> | undefined;
  holdLooks(async ({ byAuthority }) => {
    if (byAuthority) stopped ??= fly.stopMachine(app, gone.id);
  });
  await untilTrusted(one, await renew(one));
  await stopped;
  report("looks of the authority while a PoP stops, orders", [outcomes(since), authority.orders() - orders]);
  expect(stopped).toBeDefined();
  expect(new Set(outcomes(since))).toEqual(new Set([200]));
  expect(authority.orders() - orders).toBe(some.length);
  await fly.waitMachine(app, gone.id, { states: ["stopped"], seconds: 60 });
  const [reached, later] = [perPop()[gone.name], looks.length];
  await untilTrusted(two, await renew(two));
  report("looks of the authority while it is away", outcomes(later));
  expect(new Set(outcomes(later))).toEqual(new Set([200]));
  expect(perPop()[gone.name]).toBe(reached);
  expect(authority.orders() - orders).toBe(2 * some.length);
});

test("while a PoP is updated the others renew, and no look is lost", async () => {
  const [one, two, other] = pops;
  const [since, orders] = [looks.length, authority.orders()];
  let update: Promise<unknown> | undefined;
  holdLooks(async ({ byAuthority }) => {
    if (!byAuthority) return;
    const { config } = other.inputs;
    const inputs = { ...other.inputs, config: { ...config, env: { ...config.env, UPDATED: "yes" } } };
    update ??= machineHandler.update(other.id, other.outs, inputs, context);
  });
  const old = await Promise.all([one, two].map((pop) => renew(pop)));
  await Promise.all([one, two].map((pop, n) => untilTrusted(pop, old[n])));
  await update;
  report("looks of the authority while a PoP is updated, orders", [outcomes(since), authority.orders() - orders]);
  expect(update).toBeDefined();
  expect(new Set(outcomes(since))).toEqual(new Set([200]));
  expect(authority.orders() - orders).toBe(2 * some.length);
  expect(await exec(other, "/bin/sh", "-c", "echo $UPDATED")).toBe("yes\n");
});

test("all sites renewed at all PoPs at once: one order each, and no request fails", async () => {
  const [orders, failed] = [authority.orders(), authority.failedOrders()];
  const old = await Promise.all(pops.map((pop) => renew(pop, allHosts)));
  const renewed = Promise.all(pops.map((pop, n) => untilTrusted(pop, old[n])));
  const statuses = await statusesUntil(renewed);
  const made = { orders: authority.orders() - orders, failed: authority.failedOrders() - failed };
  report("renewals of all sites at all PoPs: orders, requests by status", [made, statuses]);
  expect(Object.keys(statuses)).toEqual(["200"]);
  expect(made.orders - made.failed).toBe(pops.length * sites.length);
  // A busy machine may exceed the five seconds that the authority waits. PoPs know of each failed order, and try a certificate four times per hour at most.
  const counted = (await Promise.all(pops.map(failedValidations))).flat();
  expect(Math.max(0, ...counted)).toBeLessThanOrEqual(4);
  expect(authority.failedOrders()).toBeLessThanOrEqual(counted.reduce((sum, count) => sum + count, 0));
  expect(authority.accounts()).toBe(pops.length);
});

test("one that starts again has its certificates from the volume", async () => {
  const [, , gone] = pops;
  const [orders, booted] = [authority.orders(), bootedAt(gone)];
  // The update has started it.
  await fly.stopMachine(app, gone.id);
  await fly.waitMachine(app, gone.id, { states: ["stopped"], seconds: 60 });
  await fly.startMachine(app, gone.id);
  await fly.waitMachine(app, gone.id, { states: ["started"], seconds: 60 });
  await untilTrusted(gone);
  await until(
    () => local.routes.backends(app, 80).length,
    (count) => count === pops.length,
    { seconds: 120 },
  );
  expect(bootedAt(gone)).toBeGreaterThan(booted);
  expect(authority.orders()).toBe(orders);
});

test("while one PoP hangs the others answer, also for a token that no PoP has", async () => {
  const [holder, other, slow] = pops;
  const seen = await whileHeld(holder, async (path) => {
    await signal(slow, "STOP");
    const late = timed(() => look(slow, path));
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, n) => timed(() => look([holder, other][n % 2] ?? holder, path))),
    );
    const unknown = await timed(() => look(other, challenge + "x".repeat(43)));
    await signal(slow, "CONT");
    return { answers, unknown, late: await late };
  });
  report("one PoP hangs: longest of 30 looks, an unknown token, a look there until it goes on; ms", [
    Math.max(...seen.answers.map(({ ms }) => ms)),
    seen.unknown.ms,
    [seen.late.status, seen.late.ms],
  ]);
  expect(seen.answers.map(({ status }) => status)).toEqual(Array(30).fill(200));
  // Not 504: the peers' time is over before nginx's is.
  expect(seen.unknown.status).toBe(404);
  expect(seen.late.status).toBe(200);
});

test("a PoP that takes five seconds to answer still proves its names, through whichever PoP", async () => {
  const [holder] = pops;
  const seen = await whileHeld(holder, async (path) => {
    await signal(holder, "STOP");
    const late = timed(async () => ({
      answers: await Promise.all(Array.from({ length: 30 }, (_, n) => look(pops[n % pops.length] ?? holder, path))),
    }));
    // The fault itself, not a wait for something.
    await new Promise((passed) => setTimeout(passed, 5000));
    await signal(holder, "CONT");
    return late;
  });
  report("30 looks at a PoP that takes five seconds: ms", seen.ms);
  expect(seen.answers.map(({ status }) => status)).toEqual(Array(30).fill(200));
});
