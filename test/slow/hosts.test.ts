/** Hosts that are away, full or shared, by the real CLI: they affect only their own PoP, and `replace` recreates that one. */
import { expect, test } from "vitest";
import type { CliContext } from "../../cli/context.ts";
import { run } from "../../cli/run.ts";
import { systemClock } from "../../lib/clock.ts";
import { cliContext } from "../support/cli-context.ts";
import { image } from "../support/context.ts";
import { type Engine, engine, expectAllHealthy, stack, token } from "../support/engine.ts";

/** The waits of Fly, short: time is real here. */
const quirks = { boundMs: 300, destroyingMs: 100 };

async function cli(it: Engine, argv: string[], over: Partial<CliContext> = {}) {
  const env = { ...it.env, PULUMI_STACK: "test" };
  const { context, said } = cliContext({ env, dir: it.project, clock: systemClock, ...over });
  const code = await run(argv, context);
  expect(said.out + said.err).not.toContain(token);
  return { code, ...said };
}

const machineNamed = (it: Engine, name: string) =>
  Object.values(it.fly.snapshot().machines).find((row) => row.name === name && row.state !== "destroyed");
const volumesNamed = (it: Engine, name: string) =>
  Object.values(it.fly.snapshot().volumes).filter((row) => row.name === name && row.state === "created");
const imagesOf = (it: Engine) =>
  Object.fromEntries(Object.entries(it.machines()).map(([name, machine]) => [name, machine.image]));

test("a host that is away costs its own PoP only, under the plain `up`, which does not end well; the next one brings it", async () => {
  await using it = await engine({ quirks });
  const regions = Object.fromEntries(["ams", "arn", "cdg", "fra", "iad", "lhr"].map((region) => [region, {}]));
  const rollout = { drain: 0, timeout: "60s", maxUnavailable: 1 };
  const wanted = (version: number) => stack({ regions, imageRef: image(version), rollout });
  it.config(wanted(1));
  expect((await it.up()).code).toBe(0);
  const zone = machineNamed(it, "ams-1")?.zone ?? "";
  it.fly.platform.hostDown(zone);
  it.config(wanted(2));
  const up = await it.run(["up", "--yes", "--skip-preview", "--parallel", "2"]);
  expect(up.code).not.toBe(0);
  expect(up.output).toMatch(/ams-1: skipped, the host of machine [0-9a-f]{14} does not answer/);
  expect(up.output).toContain("error: ams-1 was skipped, because its host does not answer.");
  expect(up.output).not.toMatch(/exited with non-zero|unhandled/);
  const { "ams-1": away, ...others } = imagesOf(it);
  expect(away).toBe(image(1));
  expect(new Set(Object.values(others))).toEqual(new Set([image(2)]));
  // Outputs are those of this run all the same, and the preview still shows what is to be done.
  expect((await it.run(["stack", "output", "image"])).output.trim()).toBe(image(2));
  const preview = await it.run(["preview", "--expect-no-changes"]);
  expect(preview.code).not.toBe(0);
  expect(preview.output).toMatch(/edge-ams-1-machine/);

  it.fly.platform.hostUp(zone);
  const again = await it.up();
  expect(again.code, again.output).toBe(0);
  expect(imagesOf(it)["ams-1"]).toBe(image(2));
  expect((await it.run(["preview", "--expect-no-changes"])).code).toBe(0);
});

test("a PoP on a host that is away is taken out of the stack", async () => {
  await using it = await engine({ quirks: { ...quirks, deletesUnreachable: true } });
  expect((await it.up()).code).toBe(0);
  it.fly.platform.hostDown(machineNamed(it, "ewr-1")?.zone ?? "");
  // The volume is to stay before its PoP goes: that host will not delete it.
  it.config(stack({ keepVolumes: true }));
  await it.up();
  it.config(stack({ regions: { cdg: {} }, keepVolumes: true }));
  const up = await it.up();
  expect(up.code, up.output).toBe(0);
  // A host that is away is not waited for: the machine may read `destroying` for a moment yet.
  await expect.poll(() => Object.keys(it.machines())).toEqual(["cdg-1"]);
});

test("replicas share no host; where there is one only, `up` and preview say so", async () => {
  await using it = await engine({ quirks });
  it.config(stack({ regions: { cdg: { replicas: 2 } } }));
  const up = await it.up();
  expect(up.code, up.output).toBe(0);
  expect(machineNamed(it, "cdg-1")?.zone).not.toBe(machineNamed(it, "cdg-2")?.zone);
  expect(up.output).not.toContain("are on one host");

  for (const n of [1, 2, 3]) it.fly.platform.full(`ewr-0${n}`);
  it.config(stack({ regions: { cdg: { replicas: 2 }, ewr: { replicas: 2 } } }));
  const shared = await it.up();
  expect(shared.code, shared.output).toBe(0);
  expect(shared.output).toContain("ewr-1 and ewr-2 are on one host, ewr-04: if it fails, all of them are down.");
  expect((await it.run(["preview"])).output).toContain("are on one host, ewr-04");

  it.fly.platform.roomAgain("ewr");
  const moved = await cli(it, ["replace", "ewr-2", "--yes"]);
  expect(moved.code, moved.err).toBe(0);
  expect(machineNamed(it, "ewr-2")?.zone).not.toBe("ewr-04");
  expect((await it.run(["preview"])).output).not.toContain("are on one host");
});

test("a volume on a full host: `up` names the command, which recreates that PoP and touches no other", async () => {
  await using it = await engine({ quirks });
  it.config(stack({ protect: true, rollout: { drain: 0, timeout: "60s", canary: "cdg-1" } }));
  expect((await it.up()).code).toBe(0);
  const before = { cdg: machineNamed(it, "cdg-1"), ewr: machineNamed(it, "ewr-1") };
  const [old] = volumesNamed(it, "pop_cdg_1");
  it.fly.platform.full(old?.zone ?? "");
  await it.fly.handle({
    method: "DELETE",
    path: `/v1/apps/my-edge/machines/${before.cdg?.id}`,
    query: new URLSearchParams({ force: "true" }),
    headers: { authorization: `Bearer ${token}` },
  });
  const failing = await it.run(["up", "--yes", "--skip-preview", "--refresh"]);
  expect(failing.code).not.toBe(0);
  expect(failing.output).toMatch(/no capacity beside volume .* npx fly-pops replace cdg-1/);

  const unasked = await cli(it, ["replace", "cdg-1"]);
  expect(unasked.code).toBe(1);
  expect(unasked.err).toContain("Replace cdg-1? Not a terminal, so nothing was done. Pass --yes to confirm.");
  const declined = await cli(it, ["replace", "cdg-1"], { ask: async () => "n" });
  expect(declined).toMatchObject({ code: 0, err: expect.stringMatching(/Nothing was changed\.\n$/) });
  expect(declined.err).toContain(`Volume ${old?.id} on host ${old?.zone} is deleted with all data on it.`);
  expect(declined.err).toContain("The cache is lost");
  expect(volumesNamed(it, "pop_cdg_1").map(({ id }) => id)).toEqual([old?.id]);

  const done = await cli(it, ["replace", "cdg-1", "--yes"]);
  expect(done.code, done.err).toBe(0);
  const [fresh, ...none] = volumesNamed(it, "pop_cdg_1");
  expect(none).toEqual([]);
  expect(fresh?.zone).not.toBe(old?.zone);
  expect(machineNamed(it, "ewr-1")).toMatchObject({ id: before.ewr?.id, version: before.ewr?.version });
  await expectAllHealthy(it, expect, 1);
  // Protected as before.
  it.config(stack({ protect: true, regions: { ewr: {} } }));
  expect((await it.up()).output).toMatch(/protect/);
});

test("a volume that can neither be mounted nor deleted is given up, and listed afterwards as an orphan", async () => {
  await using it = await engine({ quirks: { ...quirks, deletesUnreachable: true } });
  expect((await it.up()).code).toBe(0);
  const [old] = volumesNamed(it, "pop_cdg_1");
  it.fly.platform.wedge(old?.id ?? "");
  it.fly.platform.hostDown(old?.zone ?? "");
  const done = await cli(it, ["replace", "cdg-1", "--yes"]);
  expect(done.code, done.err).toBe(0);
  expect(done.err).toContain(`volume ${old?.id} could not be deleted and was left behind`);
  expect(volumesNamed(it, "pop_cdg_1")).toHaveLength(2);
  expect(machineNamed(it, "cdg-1")?.zone).not.toBe(old?.zone);
  const after = await it.up();
  expect(after.code, after.output).toBe(0);
  it.fly.platform.hostUp(old?.zone ?? "");
  const orphans = await cli(it, ["orphans", "--delete", "--yes"]);
  expect(orphans.err).toContain(`volume ${old?.id} deleted`);
  expect((await it.run(["preview", "--expect-no-changes"])).code).toBe(0);
});

test("a state that is locked: refused before anything is gone; after a run that was killed it goes through", async () => {
  await using it = await engine({ quirks, behaviour: { pullMs: 4000 } });
  expect((await it.up()).code).toBe(0);
  const asked = it.asked("POST machines/:id");
  it.config(stack({ imageRef: image(2) }));
  const { pid, ended } = it.start();
  await asked;
  // The one that is not being updated.
  const other = ["cdg-1", "ewr-1"].find((name) => machineNamed(it, name)?.lease === undefined) ?? "";
  const { id } = machineNamed(it, other) ?? {};
  const locked = await cli(it, ["replace", other, "--yes"]);
  expect(locked.code).toBe(1);
  expect(locked.err).toMatch(/-1: not replaced: .*locked.*Nothing was changed\.\n$/s);
  expect(machineNamed(it, other)?.id).toBe(id);
  process.kill(pid, "SIGKILL");
  await ended;
  // Operations in progress when the engine was killed are pending in the state.
  expect(it.state()).toContain("pending_operations");
  expect((await it.run(["cancel", "--yes"])).code).toBe(0);
  const done = await cli(it, ["replace", other, "--yes"]);
  expect(done.code, done.err).toBe(0);
  expect(machineNamed(it, other)?.id).not.toBe(id);
  const up = await it.up();
  expect(up.code, up.output).toBe(0);
  await expectAllHealthy(it, expect, 2);
});

test("what is not there is not replaced", async () => {
  await using it = await engine({ quirks });
  it.config(stack());
  expect(await cli(it, ["replace", "ams-1", "--yes"])).toMatchObject({
    code: 1,
    err: expect.stringContaining("There is no PoP ams-1 in the stack file. It has: cdg-1, ewr-1."),
  });
  expect(await cli(it, ["replace", "cdg-1", "--yes"])).toMatchObject({
    code: 1,
    err: expect.stringContaining("cdg-1: there is no volume to replace. Nothing was changed."),
  });
});
