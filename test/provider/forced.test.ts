/**
 * A replacement that is forced, in the engine's order: create, then delete of the former record, in the same process or in a later one. By the
 * adapter and the real handlers; by the real CLI in test/engine/forced.test.ts.
 */
import { expect, test } from "vitest";
import { addressHandler } from "../../providers/fly/address.ts";
import { appHandler } from "../../providers/fly/app.ts";
import { machineHandler } from "../../providers/fly/machine.ts";
import { volumeHandler } from "../../providers/fly/volume.ts";
import type { Handler, Properties } from "../../providers/handler.ts";
import { createProvider } from "../../providers/host.ts";
import type { ResourceType } from "../../providers/resource.ts";
import { createRolloutGate } from "../../providers/rollout-gate.ts";
import { app, type HandlerFixture, handlerFixture, machineInputs, volumeInputs } from "../support/context.ts";

const kinds: [ResourceType, Handler<Properties, Properties>, (fixture: HandlerFixture) => Promise<Properties>][] = [
  ["App", appHandler, async () => ({ app, organization: "personal", owner: "me/fly-pops/prod" })],
  ["Address", addressHandler, async () => ({ app, type: "v4" })],
  ["Volume", volumeHandler, async () => volumeInputs()],
  [
    "Machine",
    machineHandler,
    async ({ context }: HandlerFixture) => machineInputs((await volumeHandler.create(volumeInputs(), context)).id),
  ],
] as never;

/** One process of the host: what it remembers goes with it. */
async function process(kind: ResourceType, handler: Handler<Properties, Properties>, { context }: HandlerFixture) {
  const provider = createProvider(kind, handler, () => context);
  await provider.configure?.({ config: { get: () => undefined, require: () => "" } });
  return provider as Required<typeof provider>;
}

const things = ({ local }: HandlerFixture) => {
  const { apps, addresses, volumes, machines } = local.flyState();
  return {
    apps: Object.keys(apps),
    addresses: addresses.map(({ ip }) => ip),
    volumes: Object.values(volumes).map(({ id, state }) => [id, state]),
    machines: Object.values(machines).map(({ id, state }) => [id, state]),
  };
};

test.each(kinds)(
  "%s: found by a forced create, it outlives the delete of its former record",
  async (kind, handler, of) => {
    await using fixture = await handlerFixture();
    const inputs = await of(fixture);
    const first = await process(kind, handler, fixture);
    const old = await first.create(inputs);
    const before = things(fixture);
    const second = await process(kind, handler, fixture);
    expect((await second.create(inputs)).id).toBe(old.id);
    await second.delete(old.id, old.outs ?? {});
    expect(things(fixture)).toEqual(before);
  },
);

test.each(kinds)(
  "%s: cut off between create and delete, the next run compares it and lets it be",
  async (kind, handler, of) => {
    await using fixture = await handlerFixture();
    const inputs = await of(fixture);
    const first = await process(kind, handler, fixture);
    const old = await first.create(inputs);
    await (await process(kind, handler, fixture)).create(inputs);
    const before = things(fixture);
    const next = await process(kind, handler, fixture);
    await next.diff(old.id, old.outs ?? {}, inputs);
    await next.delete(old.id, old.outs ?? {});
    expect(things(fixture)).toEqual(before);
  },
);

test.each(kinds)(
  "%s: one that no stack has goes, and so does one whose replacement was compared before",
  async (kind, handler, of) => {
    for (const compared of [false, true]) {
      await using fixture = await handlerFixture();
      const inputs = await of(fixture);
      const first = await process(kind, handler, fixture);
      const old = await first.create(inputs);
      const next = await process(kind, handler, fixture);
      if (compared) {
        await next.diff(old.id, old.outs ?? {}, inputs);
        await next.diff(old.id, old.outs ?? {}, { ...inputs, app: "other-edge" });
      }
      fixture.local.fly.calls.clear();
      await next.delete(old.id, old.outs ?? {});
      expect(fixture.local.fly.calls.list.map(({ method }) => method)).toContain("DELETE");
    }
  },
);

test("a volume that Fly moved to another host is found by a forced create under its new id, and stays", async () => {
  await using fixture = await handlerFixture();
  const provider = await process("Volume", volumeHandler as never, fixture);
  const old = await provider.create(volumeInputs());
  // As a record remembers it that was not refreshed since.
  const former = "vol_0000000000000000";
  expect((await provider.create(volumeInputs())).id).toBe(old.id);
  await provider.delete(former, old.outs ?? {});
  expect(things(fixture).volumes).toEqual([[old.id, "created"]]);
});

test("what is cancelled before it began does nothing, and says so", async () => {
  await using fixture = await handlerFixture();
  let cancelled = false;
  const context = { ...fixture.context, rollout: createRolloutGate({ isCancelled: () => cancelled }) };
  const provider = await process("Volume", volumeHandler as never, { ...fixture, context });
  const { id, outs = {} } = await provider.create(volumeInputs());
  cancelled = true;
  fixture.local.fly.calls.clear();
  const sentence =
    "cdg-1: nothing was done, because the run was cancelled before its turn. It was not changed. Run again.";
  await expect(provider.create(volumeInputs({ name: "pop_2" }))).rejects.toThrow(sentence);
  await expect(provider.update(id, outs, volumeInputs({ sizeGb: 9 }))).rejects.toThrow(sentence);
  await expect(provider.delete(id, outs)).rejects.toThrow(sentence);
  expect(fixture.local.fly.calls.list).toEqual([]);
});
