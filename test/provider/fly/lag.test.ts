/** Reads that lag writes, writes that come late, lists that forget: what Fly has shown its own clients, and what ours makes of it. */
import { expect, test } from "vitest";
import { Fly } from "../../../fly/api.ts";
import type { Machine } from "../../../fly/wire.ts";
import { httpTransport, type Transport } from "../../../lib/http-transport.ts";
import type { Fault } from "../../../local/fly/controls/faults.ts";
import { noQuirks } from "../../../local/fly/core/quirks.ts";
import { failingCheck, passingAfter } from "../../../local/fly/runners/state-runner.ts";
import { addressHandler } from "../../../providers/fly/address.ts";
import { appHandler } from "../../../providers/fly/app.ts";
import { machineHandler } from "../../../providers/fly/machine.ts";
import { volumeHandler } from "../../../providers/fly/volume.ts";
import { PartialResourceError } from "../../../providers/handler.ts";
import {
  app,
  type HandlerFixture,
  handlerFixture,
  image,
  machineInputs,
  volumeInputs,
  withImage,
} from "../../support/context.ts";
import { errorMessage } from "../../support/error-message.ts";

const seeds = [1, 2, 3, 4, 5, 6];
/** As late as a read can be. */
const late = { staleMs: 14_000, newAppMs: 20_000 };

/** A PoP that serves version 1 of its image. */
async function pop(options: Parameters<typeof handlerFixture>[0] = {}) {
  const fixture = await handlerFixture(options);
  const volume = await volumeHandler.create(volumeInputs(), fixture.context);
  const inputs = machineInputs(volume.id);
  const { id, outs } = await machineHandler.create(inputs, fixture.context);
  await fixture.local.clock.advance(20_000);
  fixture.local.fly.calls.clear();
  const update = () => machineHandler.update(id, outs, withImage(inputs, 2), fixture.context);
  return { ...fixture, id, outs, inputs, update };
}

/** The real machine, independent of what reads show. */
const now = ({ local }: HandlerFixture) => {
  const [machine] = local.machines().filter(({ state }) => state !== "destroyed");
  return {
    image: machine?.versions.find(({ version }) => version === machine.version)?.received.image,
    state: machine?.state,
    cordoned: machine?.cordoned,
    leased: machine?.lease !== undefined,
    version: machine?.version,
  };
};
const serves = (version: number) => ({ image: image(version), state: "started", cordoned: false, leased: false });

/** A client over the same wire, on which `change` has its say. */
const overWire = ({ local, context }: HandlerFixture, change: (send: Transport) => Transport) => ({
  ...context,
  fly: new Fly({
    endpoint: local.url,
    token: local.token,
    clock: local.clock,
    random: () => 0.5,
    transport: change(httpTransport()),
  }),
});

test("the cookie that leads back to the server of the last write is sent below the app it was set for, nowhere else", async () => {
  await using fixture = await handlerFixture();
  const sent: [path: string, cookie: string | undefined][] = [];
  const context = overWire(fixture, (send) => (exchange) => {
    sent.push([new URL(exchange.url).pathname, exchange.headers.Cookie]);
    return send(exchange);
  });
  await context.fly.listVolumes(app);
  await context.fly.createVolume(app, { name: "one", region: "cdg" });
  await context.fly.listVolumes(app);
  await context.fly.listVolumes(`${app}-2`).catch(() => undefined);
  const cookies = sent.map(([, cookie]) => cookie?.replace(/\.\d+$/, ""));
  expect(cookies.slice(0, 3)).toEqual([undefined, undefined, undefined]);
  expect(cookies[3]).toMatch(/^fly_flaps_affinity=flaps-\d$/);
  expect(cookies[4]).toBeUndefined();
});

test("with its cookie a client reads what it wrote, without it what was before", async () => {
  await using fixture = await pop({ quirks: late });
  const { context, local, id } = fixture;
  const anonymous = (request: Parameters<Transport>[0]) => {
    const { Cookie: _, ...headers } = request.headers;
    return { ...request, headers };
  };
  const forgetful = overWire(fixture, (send) => (request) => send(anonymous(request)));
  const before = await forgetful.fly.getMachine(app, id);
  const { nonce } = await context.fly.acquireLease(app, id, { ttlSeconds: 60, description: "" });
  const posted = await context.fly.updateMachine(app, id, { config: { ...before.config, env: { A: "1" } } }, nonce);
  const seen = new Set<string | undefined>();
  for (let n = 0; n < 12; n++) {
    expect((await context.fly.getMachine(app, id)).instance_id).toBe(posted.instance_id);
    seen.add((await forgetful.fly.getMachine(app, id)).instance_id);
  }
  expect(seen).toContain(before.instance_id);
  await local.clock.advance(14_000);
  for (let n = 0; n < 12; n++) expect((await forgetful.fly.getMachine(app, id)).instance_id).toBe(posted.instance_id);
});

test.each(seeds)(
  "a healthy update is a success, whatever reads show after the wait for it succeeded, seed %i",
  async (seed) => {
    await using fixture = await pop({ seed, quirks: late });
    fixture.local.faults.next("GET machines/:id/wait", "server goes");
    const outs = await fixture.update();
    expect(outs.complete).toBe(true);
    expect(now(fixture)).toMatchObject({ ...serves(2), version: outs.instanceId });
    expect(fixture.local.calls("POST", "machines/:id")).toBe(1);
  },
);

test("a machine that was just made is waited for where it reads as absent; one that stays absent is gone", async () => {
  await using fixture = await handlerFixture({ quirks: late });
  const { id: volume } = await volumeHandler.create(volumeInputs(), fixture.context);
  const absent: Fault = { kind: "status", status: 404, body: { error: "machine not found" } };
  // Slow to boot, so that its servers have time to lag.
  fixture.local.runner.image(image(1), { pullMs: 12_000 });
  fixture.local.faults.add({ match: "GET machines/:id", times: 10, fault: absent });
  const { id, outs } = await machineHandler.create(machineInputs(volume), fixture.context);
  expect(outs.complete).toBe(true);
  await fixture.local.call("DELETE", `/apps/${app}/machines/${id}?force=true`);
  fixture.local.faults.add({ match: "GET machines/:id", times: 60, fault: absent });
  await fixture.local.clock.advance(60_000);
  expect(await errorMessage(machineHandler.create(machineInputs(volume), fixture.context))).toMatch(
    /was created but does not serve: the machine is gone\./,
  );
});

test.each(seeds)("and while its image takes longer to arrive than a wait, seed %i", async (seed) => {
  await using fixture = await pop({ seed, quirks: { ...late, replicaGoes: 0.5 } });
  fixture.local.runner.image(image(2), { pullMs: 25_000, check: passingAfter(12_000) });
  const outs = await fixture.update();
  expect(outs.complete).toBe(true);
  expect(now(fixture)).toMatchObject({ ...serves(2), version: outs.instanceId });
});

test.each(seeds)(
  "an update of a machine at rest is one, though reads show the version before, seed %i",
  async (seed) => {
    await using fixture = await pop({ seed, quirks: late });
    await fixture.local.call("POST", `/apps/${app}/machines/${fixture.id}/stop`);
    await fixture.local.clock.advance(20_000);
    fixture.local.faults.next("POST machines/:id", { kind: "status", status: 502, after: true });
    fixture.local.faults.add({ match: "GET machines/:id", nth: 2, fault: "server goes" });
    const outs = await fixture.update();
    expect(now(fixture)).toMatchObject({ ...serves(2), version: outs.instanceId });
  },
);

const lateDeeds: [string, Fault][] = [
  ["a 502 after the deed", { kind: "status", status: 502, after: true }],
  ["a 502, the deed a minute later", { kind: "late", ms: 60_000, status: 502 }],
  ["a 504, the deed 88 s later", { kind: "late", ms: 88_000, status: 504 }],
  ["no answer, the deed 88 s later", { kind: "late", ms: 88_000 }],
  ["an answer as late as Fly's proxy allows", { kind: "slow", ms: 60_000 }],
];
test.each(lateDeeds.flatMap(([name, fault]) => seeds.map((seed) => [name, seed, fault] as const)))(
  "an update ends well with %s, seed %i",
  async (_, seed, fault) => {
    await using fixture = await pop({ seed, quirks: { ...late, replicaGoes: 0.5 } });
    fixture.local.faults.next("POST machines/:id", fault);
    const outs = await fixture.update();
    expect(outs.complete).toBe(true);
    expect(now(fixture)).toMatchObject({ ...serves(2), version: outs.instanceId });
    await fixture.local.clock.advance(120_000);
    expect(now(fixture)).toMatchObject({ ...serves(2), version: outs.instanceId });
  },
);

test("an update that was lost for good is one that failed, and nothing comes after the word that the old version goes on", async () => {
  await using fixture = await pop({ quirks: late });
  fixture.local.faults.next("POST machines/:id", "drop request");
  expect(await errorMessage(fixture.update())).toMatch(/The old version still serves\. Run again\.$/);
  expect(now(fixture)).toMatchObject(serves(1));
  await fixture.local.clock.advance(200_000);
  expect(now(fixture)).toMatchObject(serves(1));
});

test("a cordon that lands late leaves no PoP out of routing", async () => {
  await using fixture = await pop({ quirks: late });
  fixture.local.faults.next("POST machines/:id/cordon", { kind: "late", ms: 80_000, status: 502 });
  await fixture.update();
  await fixture.local.clock.advance(120_000);
  expect(now(fixture)).toMatchObject(serves(2));
});

test("a version that is no longer well once a late cordon has landed is not called a success", async () => {
  await using fixture = await pop({ quirks: late });
  fixture.local.faults.next("POST machines/:id/cordon", { kind: "late", ms: 80_000, status: 502 });
  fixture.local.runner.image(image(2), { check: (_, upMs) => ({ passing: upMs < 40_000, output: "" }) });
  expect(await errorMessage(fixture.update())).toMatch(/^cdg-1: update undone after \d+ s, not healthy in time/);
  expect(now(fixture)).toMatchObject(serves(1));
});

/** Version 1 was well until it was to come back. */
const notBack =
  /^cdg-1: update failed after \d+ s, Fly rolled back to version .*; and the old configuration could not be put back, not healthy in time: health is critical/;

test("a version that Fly went back to is not verified by rows of checks from before its reboot", async () => {
  await using fixture = await pop({ quirks: { ...late, staleChecksMs: 6_000 } });
  const { runner } = fixture.local;
  const boots = runner.boots.length;
  runner.image(image(2), { pull: "fails" });
  runner.image(image(1), { check: () => ({ passing: runner.boots.length === boots, output: "" }) });
  // It ends while the image of the new version is pulled, so that going back is a boot.
  const context = overWire(fixture, (send) => async (exchange) => {
    const answer = await send(exchange);
    if (exchange.method === "POST" && new URL(exchange.url).pathname.endsWith(`/machines/${fixture.id}`))
      runner.crash(fixture.id);
    return answer;
  });
  const update = machineHandler.update(fixture.id, fixture.outs, withImage(fixture.inputs, 2), context);
  expect(await errorMessage(update)).toMatch(notBack);
  expect(runner.boots.length).toBeGreaterThan(boots);
});

test("nor by rows of checks from before a crash that came before the update", async () => {
  await using fixture = await pop({ quirks: { ...noQuirks, staleChecksMs: 20_000 } });
  const { runner, clock } = fixture.local;
  const boots = runner.boots.length;
  runner.image(image(2), { pull: "fails" });
  runner.image(image(1), { check: () => ({ passing: runner.boots.length === boots, output: "" }) });
  runner.crash(fixture.id);
  await clock.advance(2_500);
  expect(runner.boots.length).toBe(boots + 1);
  expect(await errorMessage(fixture.update())).toMatch(notBack);
});

test("nor is one that is no longer well once a late cordon has landed", async () => {
  await using fixture = await pop({ quirks: late });
  fixture.local.faults.next("POST machines/:id/cordon", { kind: "late", ms: 80_000, status: 502 });
  fixture.local.runner.image(image(2), { pull: "fails" });
  const { clock } = fixture.local;
  const until = clock.now() + 40_000;
  fixture.local.runner.image(image(1), { check: () => ({ passing: clock.now() < until, output: "" }) });
  expect(await errorMessage(fixture.update())).toMatch(notBack);
});

test("an image that cannot be pulled is told from a late read by the machine's events, at once", async () => {
  await using fixture = await pop({ quirks: late });
  fixture.local.runner.image(image(2), { pull: "fails" });
  const began = fixture.local.clock.now();
  expect(await errorMessage(fixture.update())).toMatch(
    /^cdg-1: update undone after \d+ s, Fly rolled back to version /,
  );
  expect(fixture.local.clock.now() - began).toBeLessThan(25_000);
  expect(now(fixture)).toMatchObject(serves(1));
});

test("another version that stays is a revert also where no event tells of it, and not before reads can no longer be late", async () => {
  await using fixture = await pop({ quirks: noQuirks });
  let old: string | undefined;
  let posted = false;
  const context = overWire(fixture, (send) => async (exchange) => {
    const one = exchange.method === "GET" && /\/machines\/[0-9a-f]{14}$/.test(new URL(exchange.url).pathname);
    if (one && posted && old !== undefined) return { status: 200, headers: {}, body: old };
    const answer = await send(exchange);
    if (one) old = answer.body;
    if (exchange.method === "POST" && /\/machines\/[0-9a-f]{14}$/.test(new URL(exchange.url).pathname)) posted = true;
    return answer;
  });
  const began = fixture.local.clock.now();
  const reported = await errorMessage(
    machineHandler.update(fixture.id, fixture.outs, withImage(fixture.inputs, 2), context),
  );
  expect(reported).toContain(`Fly rolled back to version ${fixture.outs.instanceId}`);
  expect(fixture.local.clock.now() - began).toBeGreaterThan(25_000);
});

test.each(seeds)(
  "a failing new version is undone though the rows of the old one's checks still pass, seed %i",
  async (seed) => {
    await using fixture = await pop({ seed, quirks: { ...late, staleChecksMs: 6_000 } });
    fixture.local.runner.image(image(2), { check: failingCheck });
    const reported = await fixture.update().catch((error: unknown) => error);
    expect(reported).toBeInstanceOf(PartialResourceError);
    expect((reported as Error).message).toMatch(
      /^cdg-1: update undone after \d+ s, not healthy in time: health is critical/,
    );
    expect(now(fixture)).toMatchObject(serves(1));
  },
);

test("a row of the second in which a version boots may be of the version before, and verifies nothing", async () => {
  await using fixture = await pop();
  const { clock, runner } = fixture.local;
  runner.image(image(2), { check: failingCheck });
  // The last word of the old version, by a clock of whole seconds.
  const context = overWire(fixture, (send) => async (exchange) => {
    const answer = await send(exchange);
    if (exchange.method !== "GET" || !new URL(exchange.url).pathname.endsWith(`/machines/${fixture.id}`)) return answer;
    const machine = JSON.parse(answer.body) as Machine;
    const boot = machine.events?.find(({ type }) => type === "start")?.timestamp ?? 0;
    if (clock.now() - boot > 12_000) return answer;
    const updated_at = new Date(Math.floor(boot / 1000) * 1000).toISOString();
    const checks = machine.checks?.map((row) => ({ ...row, status: "passing", updated_at }));
    return { ...answer, body: JSON.stringify({ ...machine, checks }) };
  });
  const update = machineHandler.update(fixture.id, fixture.outs, withImage(fixture.inputs, 2), context);
  expect(await errorMessage(update)).toMatch(/not healthy in time/);
  expect(now(fixture)).toEqual({ ...serves(1), version: expect.anything() });
});

test("rows that pass and are never written again count once they can no longer be the old version's", async () => {
  await using fixture = await pop({ quirks: { staleChecksMs: 600_000 } });
  const began = fixture.local.clock.now();
  expect((await fixture.update()).complete).toBe(true);
  expect(fixture.local.clock.now() - began).toBeLessThan(40_000);
});

test("a machine that a refresh saw cordoned is routed again, whatever a read says by then", async () => {
  await using fixture = await pop();
  const context = overWire(fixture, (send) => async (exchange) => {
    const answer = await send(exchange);
    if (exchange.method !== "GET" || !new URL(exchange.url).pathname.endsWith(`/machines/${fixture.id}`)) return answer;
    return { ...answer, body: JSON.stringify({ ...JSON.parse(answer.body), cordoned: false }) };
  });
  await fixture.local.call("POST", `/apps/${app}/machines/${fixture.id}/cordon`);
  await machineHandler.update(fixture.id, { ...fixture.outs, routed: false }, fixture.inputs, context);
  expect(now(fixture)).toEqual({ ...serves(1), version: fixture.outs.instanceId });
});

test.each(seeds)(
  "an update right after another one is made from what the machine is, not from what a read shows, seed %i",
  async (seed) => {
    await using fixture = await pop({ seed, quirks: late });
    const outs = await fixture.update();
    // Another process: it has no cookie.
    const fresh = overWire(fixture, (send) => send);
    const third = await machineHandler.update(fixture.id, outs, withImage(fixture.inputs, 3), fresh);
    expect(now(fixture)).toMatchObject({ ...serves(3), version: third.instanceId });
    expect(fixture.local.calls("POST", "machines/:id")).toBe(2);
  },
);

test.each(seeds)("a refresh right after an update or a create takes no late read for drift, seed %i", async (seed) => {
  await using fixture = await pop({ seed, quirks: late });
  const outs = await fixture.update();
  const fresh = overWire(fixture, (send) => send);
  const read = await machineHandler.read(fixture.id, outs, fresh);
  // Its routing may be read late: the next update looks, and posts nothing.
  expect(read?.outs.instanceId).toBe(outs.instanceId);
  expect(read?.inputs.config).toEqual(withImage(fixture.inputs, 2).config);
  const volume = await volumeHandler.create(volumeInputs({ name: "pop_cdg_2" }), fixture.context);
  expect(
    await volumeHandler.read(
      volume.id,
      volume.outs,
      overWire(fixture, (send) => send),
    ),
  ).toMatchObject({ id: volume.id });
  const address = await addressHandler.create({ app, type: "v6" }, fixture.context);
  expect(
    await addressHandler.read(
      address.id,
      address.outs,
      overWire(fixture, (send) => send),
    ),
  ).toMatchObject({
    outs: address.outs,
  });
});

test.each(lateDeeds.flatMap(([name, fault]) => [1, 2, 3].map((seed) => [name, seed, fault] as const)))(
  "volume, machine and address are made once with %s, seed %i",
  async (_, seed, fault) => {
    await using fixture = await handlerFixture({ seed, quirks: { ...late, replicaGoes: 0.5 } });
    for (const route of ["POST volumes", "POST machines", "POST ip_assignments"])
      fixture.local.faults.next(route, fault);
    const volume = await volumeHandler.create(volumeInputs(), fixture.context);
    const machine = await machineHandler.create(machineInputs(volume.id), fixture.context);
    const address = await addressHandler.create({ app, type: "v4" }, fixture.context);
    await fixture.local.clock.advance(120_000);
    expect(fixture.local.volumes().map((it) => it.id)).toEqual([volume.id]);
    expect(fixture.local.machines().map((it) => it.id)).toEqual([machine.id]);
    expect(fixture.local.flyState().addresses.map((it) => it.ip)).toEqual([address.id]);
  },
);

test("a list that forgets makes nothing twice", async () => {
  await using fixture = await pop();
  await addressHandler.create({ app, type: "v4" }, fixture.context);
  for (const route of ["GET volumes", "GET ip_assignments", "GET machines"])
    fixture.local.faults.next(route, "empty list");
  await volumeHandler.create(volumeInputs(), fixture.context);
  await addressHandler.create({ app, type: "v4" }, fixture.context);
  await machineHandler.create(fixture.inputs, fixture.context);
  expect(fixture.local.volumes()).toHaveLength(1);
  expect(fixture.local.flyState().addresses).toHaveLength(1);
  expect(fixture.local.machines()).toHaveLength(1);
  expect(fixture.local.faults.pending()).toEqual([]);
});

test("nor does one that forgets again and again, while Fly counts what it does not list", async () => {
  await using fixture = await pop();
  for (const match of ["GET volumes", "GET machines"])
    fixture.local.faults.add({ match, times: 5, fault: "empty list" });
  await volumeHandler.create(volumeInputs(), fixture.context);
  await machineHandler.create(fixture.inputs, fixture.context);
  expect(fixture.local.volumes()).toHaveLength(1);
  expect(fixture.local.machines()).toHaveLength(1);
  expect(fixture.local.faults.pending()).toEqual([]);
});

test.each([1, 2])(
  "a deleted volume is not taken for the one whose create was refused, though look %i at the list shows it",
  async (late) => {
    await using fixture = await handlerFixture();
    const old = await volumeHandler.create(volumeInputs(), fixture.context);
    await fixture.local.call("DELETE", `/apps/${app}/volumes/${old.id}`);
    let looks = 0;
    const context = overWire(fixture, (send) => async (exchange) => {
      const answer = await send(exchange);
      if (exchange.method !== "GET" || !new URL(exchange.url).pathname.endsWith(`/apps/${app}/volumes`)) return answer;
      const isLate = ++looks >= late;
      const rows: { id: string }[] = JSON.parse(answer.body);
      const shown = rows.map((row) => (isLate && row.id === old.id ? { ...row, state: "created" } : row));
      return { ...answer, body: JSON.stringify(shown) };
    });
    const refusal = { error: "failed_precondition: no unique zone left" };
    fixture.local.faults.next("POST volumes", { kind: "status", status: 412, body: refusal });
    const { id } = await volumeHandler.create(volumeInputs(), context);
    expect(id).not.toBe(old.id);
    expect(fixture.local.volumes().filter(({ state }) => state === "created")).toMatchObject([{ id }]);
  },
);

test("nor does one of addresses, which Fly does not count", async () => {
  await using fixture = await handlerFixture();
  await addressHandler.create({ app, type: "v4" }, fixture.context);
  fixture.local.faults.add({ match: "GET ip_assignments", times: 5, fault: "empty list" });
  await addressHandler.create({ app, type: "v4" }, fixture.context);
  expect(fixture.local.flyState().addresses).toHaveLength(1);
  expect(fixture.local.faults.pending()).toEqual([]);
});

test("a list that stays empty is believed in the end, whatever Fly counts", async () => {
  await using fixture = await pop();
  fixture.local.faults.add({ match: "GET machines", times: Number.POSITIVE_INFINITY, fault: "empty list" });
  expect(await fixture.context.fly.liveMachines(app)).toEqual([]);
});

const appInputs = { app, organization: "personal" };
const appOuts = { ...appInputs, schemaVersion: 1 as const };

test.each(seeds)("what is made below a new app waits until it is known there, seed %i", async (seed) => {
  await using fixture = await handlerFixture({ seed, withApp: false, quirks: { ...late, replicaGoes: 0.5 } });
  await appHandler.create(appInputs, fixture.context);
  expect(fixture.local.fly.calls.list.find(({ route }) => route === "POST apps")?.query).toBe("wait=true");
  const [volume] = await Promise.all([
    volumeHandler.create(volumeInputs(), fixture.context),
    addressHandler.create({ app, type: "v4" }, fixture.context),
  ]);
  await machineHandler.create(machineInputs(volume.id), fixture.context);
  expect(fixture.local.volumes()).toHaveLength(1);
});

test("below an app that was there before, and below a new one once it is known, 404 means what it says", async () => {
  await using fixture = await handlerFixture();
  const began = fixture.local.clock.now();
  expect(await errorMessage(fixture.context.fly.getVolume(app, "vol_none"))).toMatch(/volume not found/);
  expect(fixture.local.clock.now()).toBe(began);
  await fixture.context.fly.createApp({ name: "another", org_slug: "personal" });
  await fixture.local.clock.advance(30_000);
  const later = fixture.local.clock.now();
  expect(await errorMessage(fixture.context.fly.getVolume("another", "vol_none"))).toMatch(/volume not found/);
  expect(fixture.local.clock.now()).toBe(later);
});

test.each(lateDeeds)("an app is made once with %s", async (_, fault) => {
  await using fixture = await handlerFixture({ withApp: false, quirks: late });
  fixture.local.faults.next("POST apps", fault);
  await appHandler.create(appInputs, fixture.context);
  expect(Object.keys(fixture.local.flyState().apps)).toEqual([app]);
});

test("an app whose lists come back empty again and again stays, by Fly's own counts", async () => {
  await using fixture = await handlerFixture();
  await volumeHandler.create(volumeInputs(), fixture.context);
  for (const match of ["GET volumes", "GET machines"])
    fixture.local.faults.add({ match, times: Number.POSITIVE_INFINITY, fault: "empty list" });
  await appHandler.delete(app, appOuts, fixture.context);
  expect(Object.keys(fixture.local.flyState().apps)).toEqual([app]);
  expect(fixture.logLines.at(-1)).toBe(
    `app ${app} is kept: it still holds 1 volume (Fly counts them, but lists 0), which this stack does not own or is configured to keep`,
  );
});

test("an app goes when lists and counts say nothing, at two looks; what appears between them keeps it", async () => {
  await using fixture = await handlerFixture();
  let looks = 0;
  const context = overWire(fixture, (send) => async (exchange) => {
    const isApp = exchange.method === "GET" && new URL(exchange.url).pathname.endsWith(`/apps/${app}`);
    if (isApp && ++looks === 2)
      await fixture.local.call("POST", `/apps/${app}/volumes`, { name: "late", region: "cdg" });
    return send(exchange);
  });
  await appHandler.delete(app, appOuts, context);
  expect(Object.keys(fixture.local.flyState().apps)).toEqual([app]);
  const [volume] = fixture.local.volumes();
  await fixture.local.call("DELETE", `/apps/${app}/volumes/${volume?.id}`);
  await appHandler.delete(app, appOuts, fixture.context);
  expect(fixture.local.flyState().apps).toEqual({});
});

test.each(seeds)("an app goes although some servers still show what was deleted in it, seed %i", async (seed) => {
  await using fixture = await pop({ quirks: { ...late, affinityMs: 0, seed } });
  const volume = fixture.inputs.volume;
  await machineHandler.delete(fixture.id, fixture.outs, fixture.context);
  await volumeHandler.delete(volume, { ...volumeInputs(), schemaVersion: 1, zone: null }, fixture.context);
  fixture.local.fly.calls.clear();
  await appHandler.delete(app, appOuts, fixture.context);
  expect(fixture.logLines.filter((line) => line.includes("stays"))).toEqual([]);
  expect(fixture.local.flyState().apps).toEqual({});
});

test.each(seeds)("an app that stays names what is in it, not what was deleted in it, seed %i", async (seed) => {
  await using fixture = await pop({ quirks: { ...late, affinityMs: 0, seed } });
  await fixture.context.fly.deleteMachine(app, fixture.id, { force: true });
  await appHandler.delete(app, appOuts, fixture.context);
  expect(fixture.logLines.at(-1)).toBe(
    `app ${app} is kept: it still holds volume ${fixture.inputs.volume}, which this stack does not own or is configured to keep`,
  );
});

test.each(seeds)(
  "a machine that an earlier run deleted is gone although some servers still show it, seed %i",
  async (seed) => {
    await using fixture = await pop({ quirks: { ...late, affinityMs: 0, seed } });
    await fixture.context.fly.deleteMachine(app, fixture.id, { force: true });
    fixture.local.faults.next("GET machines/:id", {
      kind: "status",
      status: 404,
      body: { error: "machine not found" },
    });
    const again = overWire(fixture, (send) => send);
    expect(await errorMessage(machineHandler.delete(fixture.id, fixture.outs, again))).toBe("it succeeded");
  },
);

test.each(seeds)(
  "a region that is put back right after it was taken out gets a volume that is there, seed %i",
  async (seed) => {
    await using fixture = await pop({ quirks: { ...late, affinityMs: 0, seed } });
    await machineHandler.delete(fixture.id, fixture.outs, fixture.context);
    await volumeHandler.delete(
      fixture.inputs.volume,
      { ...volumeInputs(), schemaVersion: 1, zone: null },
      fixture.context,
    );
    const again = overWire(fixture, (send) => send);
    const { id } = await volumeHandler.create(volumeInputs(), again);
    expect(fixture.local.flyState().volumes[id]?.state).toBe("created");
    const adopting = volumeHandler.create(volumeInputs({ adopt: fixture.inputs.volume }), again);
    expect(await errorMessage(adopting)).toMatch(
      /^cdg-1: volume vol_\w+ cannot be adopted, (it was deleted\.|my-edge has no such volume\.)/,
    );
  },
);
