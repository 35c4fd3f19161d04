/** Machines of PoPs that join a tailnet by a key of their own: none is made with a key that has ended and no node to show for it. */
import { expect, test } from "vitest";
import { failingCheck } from "../../local/fly/runners/state-runner.ts";
import { machineHandler } from "../../providers/fly/machine.ts";
import { volumeHandler } from "../../providers/fly/volume.ts";
import { PartialResourceError } from "../../providers/handler.ts";
import type { TailnetApi } from "../../tailnet/tailnet-api.ts";
import { handlerFixture, machineInputs, volumeInputs } from "../support/context.ts";
import type { LocalFlyTestOptions } from "../support/local-fly.ts";

/** `devices`: hostnames of the tailnet; undefined when the credentials may not see them; a reason when it cannot be asked. */
async function pop(devices: string[] | undefined | Error, hoursLeft: number, options: LocalFlyTestOptions = {}) {
  const fixture = await handlerFixture(options);
  let asked = 0;
  const driver = {
    devices: async () => {
      asked++;
      if (devices instanceof Error) throw devices;
      return devices?.map((hostname) => ({ id: hostname, hostname, tags: ["pop"] }));
    },
  } as unknown as TailnetApi;
  const context = { ...fixture.context, tailnet: () => driver };
  const volume = await volumeHandler.create(volumeInputs(), context);
  const expires = new Date(fixture.local.clock.now() + hoursLeft * 3_600_000).toISOString();
  const inputs = machineInputs(volume.id, { joins: { node: "pop-cdg-1", driver: "tailscale", expires } });
  return { ...fixture, context, inputs, expires, asked: () => asked };
}

test("a key that ended, and no such node: nothing is made, and it is said what makes another", async () => {
  await using it = await pop(["pop-ewr-1"], -1);
  await expect(machineHandler.create(it.inputs, it.context)).rejects.toThrow(
    `cdg-1: no machine created or changed: its auth key expired at ${it.expires} and pop-cdg-1 is not in the tailnet, so it could never join. Run again with --refresh, which creates another key: npx pulumi up --refresh`,
  );
  expect(it.local.machines()).toEqual([]);
});

test.each([
  ["the key is good", [], 1, 0],
  ["its node is in the tailnet: it has a key of its own", ["pop-cdg-1"], -1, 1],
  ["the credentials may not see nodes", undefined, -1, 1],
  ["the tailnet cannot be asked", new Error("no credentials"), -1, 1],
])("made all the same: %s", async (_, devices, hoursLeft, asked) => {
  await using it = await pop(devices, hoursLeft);
  await machineHandler.create(it.inputs, it.context);
  expect(it.local.machines()).toHaveLength(1);
  expect(it.asked()).toBe(asked);
  const unsure = devices === undefined || devices instanceof Error;
  expect(it.logLines.some((line) => line.includes("the tailnet could not be asked whether pop-cdg-1 has joined"))).toBe(
    unsure,
  );
});

test("a partial resource is not continued with a key that has ended in between; a complete one makes no calls", async () => {
  await using it = await pop([], 1, { behaviour: { check: failingCheck } });
  const failed = await machineHandler
    .create({ ...it.inputs, timeoutSeconds: 30 }, it.context)
    .catch((error: unknown) => error);
  if (!(failed instanceof PartialResourceError)) throw failed;
  await it.local.clock.advance(2 * 3_600_000);
  const update = machineHandler.update(failed.id, failed.outs as never, it.inputs, it.context);
  await expect(update).rejects.toThrow(/its auth key expired at .* npx pulumi up --refresh$/);
  const asked = it.asked();
  await machineHandler.update(
    failed.id,
    { ...(failed.outs as never as object), complete: true, state: "started" } as never,
    { ...it.inputs, drainSeconds: 1 },
    it.context,
  );
  expect(it.asked()).toBe(asked);
});
