/** Values that Fly adds, drops and respells are not drift, for any config: with generated ones, by the rules alone and through the API. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { MachineConfig } from "../../fly/wire.ts";
import { parseImage } from "../../local/fly/core/image-ref.ts";
import { renderConfig } from "../../local/fly/machines/render.ts";
import { digestOf } from "../../local/fly/runners/state-runner.ts";
import { appHandler } from "../../providers/fly/app.ts";
import { machineHandler } from "../../providers/fly/machine.ts";
import { alignToDesired, normalise, sameConfig } from "../../providers/fly/normalise.ts";
import { volumeHandler } from "../../providers/fly/volume.ts";
import { app, machineInputs, volumeInputs } from "../support/context.ts";
import { faultFixture } from "../support/faults/fixture.ts";
import { machineConfig } from "../support/machine-configs.ts";

const mount = { volume: "vol_1", path: "/var" };
const facts = () => ({ name: "pop_cdg_1", encrypted: true, sizeGb: 3 });
const withMount = (config: MachineConfig): MachineConfig => ({ ...config, mounts: [mount] });
const answered = (sent: MachineConfig) => renderConfig(structuredClone(sent), facts);
const refOf = ({ image = "" }: MachineConfig) => ({ ...parseImage(image), digest: digestOf(image) });

test("a config never drifts from what Fly answers to it", () => {
  fc.assert(
    fc.property(machineConfig, (config) => {
      const sent = withMount(config);
      expect(alignToDesired(sent, answered(sent), refOf(sent))).toEqual(sent);
      expect(sameConfig(sent, answered(sent), refOf(sent))).toBe(true);
    }),
    { numRuns: 1_000 },
  );
});

test("what Fly answers and what was sent have the same normal form, and it is normal itself", () => {
  fc.assert(
    fc.property(machineConfig, (config) => {
      const sent = withMount(config);
      expect(normalise(answered(sent))).toEqual(normalise(sent));
    }),
    { numRuns: 500 },
  );
});

test("two configs that Fly answers alike mean the same, those it answers differently do not", () => {
  fc.assert(
    fc.property(machineConfig, machineConfig, (a, b) => {
      const alike = JSON.stringify(normalise(answered(a))) === JSON.stringify(normalise(answered(b)));
      expect(sameConfig(a, answered(b), refOf(b))).toBe(alike);
    }),
    { numRuns: 500 },
  );
});

test("the same config in another order of keys is the same", () => {
  const reversed = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(reversed)
      : typeof value === "object" && value !== null
        ? Object.fromEntries(
            Object.entries(value)
              .reverse()
              .map(([key, it]) => [key, reversed(it)]),
          )
        : value;
  fc.assert(
    fc.property(machineConfig, (config) => {
      expect(sameConfig(config, reversed(config) as MachineConfig)).toBe(true);
    }),
  );
});

test("a machine of any config reads as it was wanted: the second preview is empty, and an update calls nothing", async () => {
  await fc.assert(
    fc.asyncProperty(machineConfig, async (config) => {
      await using fixture = await faultFixture();
      const context = fixture.context();
      await appHandler.create({ app, organization: "personal" }, context);
      const { id: volume } = await volumeHandler.create(volumeInputs(), context);
      const inputs = machineInputs(volume, { config });
      const { id, outs } = await machineHandler.create(inputs, context);
      const found = await machineHandler.read(id, outs, context);
      expect(found?.inputs).toEqual(inputs);
      const again = found && (await machineHandler.read(id, found.outs, context));
      expect(again?.inputs).toEqual(inputs);
      const before = fixture.fly.calls.mutations();
      await machineHandler.update(id, found?.outs ?? outs, inputs, context);
      expect(fixture.fly.calls.mutations()).toBe(before);
    }),
    { numRuns: 60 },
  );
});

test("a run that finds its machine made already posts nothing, whatever the config", async () => {
  await fc.assert(
    fc.asyncProperty(machineConfig, async (config) => {
      await using fixture = await faultFixture();
      const context = fixture.context();
      await appHandler.create({ app, organization: "personal" }, context);
      const { id: volume } = await volumeHandler.create(volumeInputs(), context);
      const inputs = machineInputs(volume, { config });
      const first = await machineHandler.create(inputs, context);
      const second = await machineHandler.create(inputs, fixture.context());
      expect(second.outs).toEqual(first.outs);
      expect(fixture.fly.calls.count("POST machines/:id")).toBe(0);
    }),
    { numRuns: 30 },
  );
});
