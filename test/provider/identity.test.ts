import { expect, test } from "vitest";
import { helperMachineConfig, identityHandler } from "../../providers/fly/identity.ts";
import { machineHandler } from "../../providers/fly/machine.ts";
import { volumeHandler } from "../../providers/fly/volume.ts";
import { app, identityInputs, image, machineInputs, volumeInputs } from "../support/context.ts";
import { errorMessage } from "../support/error-message.ts";
import { type FaultFixture, faultFixture, liveMachines, worstQuirks } from "../support/faults/fixture.ts";
import { identityOf, popExec } from "../support/identities.ts";

async function withVolume(fixture: FaultFixture) {
  const context = fixture.context();
  await context.fly.createApp({ name: app, org_slug: "personal" });
  const { id: volume } = await volumeHandler.create(volumeInputs(), context);
  fixture.fly.calls.clear();
  return { context, volume };
}

const routes = (fixture: FaultFixture) => fixture.fly.calls.list.map(({ route }) => route);
const names = (fixture: FaultFixture) => liveMachines(fixture.fly.snapshot()).map(({ name }) => name);

test("a new volume gets its key by a machine that is gone afterwards, and the volume is free", async () => {
  await using fixture = await faultFixture();
  const { context, volume } = await withVolume(fixture);
  const inputs = identityInputs(volume);
  const { id, outs } = await identityHandler.create(inputs, context);
  const { recipient } = identityOf(volume);
  expect(id).toMatch(/^SHA256:/);
  expect(outs).toMatchObject({
    recipient,
    knownHosts: `pop-cdg-1,pop-cdg-1.tail.example ${recipient}`,
    isNew: true,
  });
  // Asked until it is free, a minute and a half later.
  expect([...new Set(routes(fixture))]).toEqual([
    "GET machines",
    "POST machines",
    "GET machines/:id/wait",
    "GET machines/:id",
    "POST machines/:id/exec",
    "DELETE machines/:id",
    "GET volumes/:id",
  ]);
  expect(names(fixture)).toEqual([]);
  // What the PoP's own machine needs next.
  const machine = await machineHandler.create(machineInputs(volume), context);
  expect(machine.outs.state).toBe("started");
});

test("the machine that makes it serves no visitor, never comes back, and is known as ours", () => {
  expect(helperMachineConfig(identityInputs("vol_1"))).toEqual({
    image: image(1),
    guest: { cpu_kind: "shared", cpus: 1, memory_mb: 256 },
    init: { exec: ["/bin/sh", "-c", "/usr/bin/pop identity && exec sleep 900"] },
    env: { POP_NAME: "cdg-1" },
    restart: { policy: "no" },
    auto_destroy: false,
    mounts: [{ volume: "vol_1", path: "/var" }],
    metadata: { pops_stack: "me/fly-pops/prod", pops_pop: "cdg-1" },
  });
});

test("a key that is not made yet is asked for again", async () => {
  await using fixture = await faultFixture();
  const { context, volume } = await withVolume(fixture);
  let asked = 0;
  fixture.runner.image(image(1), {
    exec: (...of) => (asked++ < 2 ? { exitCode: 3, stdout: "", stderr: "no key there" } : popExec(...of)),
  });
  await identityHandler.create(identityInputs(volume), context);
  expect(fixture.fly.calls.count("POST machines/:id/exec")).toBe(3);
});

test("where the PoP runs already it is asked, and no second machine is made", async () => {
  await using fixture = await faultFixture();
  const { context, volume } = await withVolume(fixture);
  await machineHandler.create(machineInputs(volume), context);
  fixture.fly.calls.clear();
  const { outs } = await identityHandler.create(identityInputs(volume), context);
  expect(outs).toMatchObject({ recipient: identityOf(volume).recipient, isNew: false });
  expect(routes(fixture)).toEqual(["GET machines", "POST machines/:id/exec"]);
  expect(names(fixture)).toEqual(["cdg-1"]);
});

test("a PoP that was stopped by hand is started to be asked", async () => {
  await using fixture = await faultFixture();
  const { context, volume } = await withVolume(fixture);
  const { id } = await machineHandler.create(machineInputs(volume), context);
  await context.fly.stopMachine(app, id);
  await fixture.clock.advance(30_000);
  await identityHandler.create(identityInputs(volume), context);
  expect(fixture.fly.calls.count("POST machines/:id/start")).toBeGreaterThan(0);
});

test("a refresh after the volume went to another host takes over its new id", async () => {
  await using fixture = await faultFixture();
  const { context, volume } = await withVolume(fixture);
  const { id, outs } = await identityHandler.create(identityInputs(volume), context);
  expect(await identityHandler.read(id, outs, context)).toEqual({ outs, inputs: identityInputs(volume) });
  const gone = { ...outs, volume: "vol_0000000000000000" };
  await machineHandler.create(machineInputs(volume), context);
  expect((await identityHandler.read(id, gone, context))?.inputs).toEqual(identityInputs(volume));
});

test("a refresh after volume and machine went finds nothing", async () => {
  await using fixture = await faultFixture();
  const { context, volume } = await withVolume(fixture);
  const { id, outs } = await identityHandler.create(identityInputs(volume), context);
  await context.fly.deleteVolume(app, volume);
  expect(await identityHandler.read(id, outs, context)).toBeUndefined();
});

test.each([1, 2, 3, 4, 5, 6])(
  "the machine that took the place of another is found although a server still shows the other one, seed %i",
  async (seed) => {
    await using fixture = await faultFixture({ quirks: { ...worstQuirks, seed } });
    const { context, volume } = await withVolume(fixture);
    const inputs = identityInputs(volume);
    const config = helperMachineConfig({ ...inputs, image: image(9) });
    await context.fly.createMachine(app, { name: inputs.name, region: inputs.region, config });
    await fixture.clock.advance(30_000);
    // It is made, and the answer is lost: it has to be found again.
    fixture.fly.faults.next("POST machines", "drop response");
    expect(await errorMessage(identityHandler.create(inputs, context))).toBe("it succeeded");
    expect(names(fixture)).toEqual([]);
  },
);

test("an image that does not come up: why, and nothing is left of it", async () => {
  await using fixture = await faultFixture();
  const { context, volume } = await withVolume(fixture);
  fixture.runner.image(image(1), { exits: { afterMs: 100, exitCode: 3 } });
  expect(await errorMessage(identityHandler.create(identityInputs(volume), context))).toMatch(
    /^cdg-1: no identity created, machine [0-9a-f]{14} did not start: it exited with 3\. It was destroyed, the volume is kept\. Check the image, then run again\.$/,
  );
  expect(names(fixture)).toEqual([]);
});

test("an image without the helper: what it said, and what to do", async () => {
  await using fixture = await faultFixture();
  const { context, volume } = await withVolume(fixture);
  fixture.runner.image(image(1), { exec: () => ({ exitCode: 127, stdout: "", stderr: "no such file\nor directory" }) });
  expect(await errorMessage(identityHandler.create(identityInputs(volume, { timeoutSeconds: 5 }), context))).toMatch(
    /^cdg-1: could not read the SSH host key \(the identity\) in machine [0-9a-f]{14}: pop exited with 127, no such file or directory\. No secrets were encrypted\. The machine must run a fly-pops/,
  );
  expect(names(fixture)).toEqual([]);
});

test.each([
  ["nothing", ""],
  ["no JSON", "recipient: x"],
  ["another kind of key", JSON.stringify({ recipient: "age1abc", fingerprint: "x" })],
  ["more than a key", JSON.stringify({ recipient: "ssh-ed25519 AAAAx\nevil", fingerprint: "x" })],
])("a helper that shows %s is not believed", async (_, stdout) => {
  await using fixture = await faultFixture();
  const { context, volume } = await withVolume(fixture);
  fixture.runner.image(image(1), { exec: () => ({ exitCode: 0, stdout, stderr: "" }) });
  expect(await errorMessage(identityHandler.create(identityInputs(volume, { timeoutSeconds: 3 }), context))).toMatch(
    /: no key in its output\. No secrets were encrypted\./,
  );
});

test("a machine of its name that is another owner's is left alone", async () => {
  await using fixture = await faultFixture();
  const { context, volume } = await withVolume(fixture);
  await context.fly.createMachine(app, { name: "cdg-1-identity", region: "cdg", config: { image: image(7) } });
  await fixture.clock.advance(30_000);
  expect(await errorMessage(identityHandler.create(identityInputs(volume), context))).toMatch(
    /^cdg-1: my-edge has a machine named cdg-1-identity already \([0-9a-f]{14}\), and it is not this stack's\. It was not changed\./,
  );
  expect(names(fixture)).toEqual(["cdg-1-identity"]);
});

test("a volume that another stack's machine holds is refused", async () => {
  await using fixture = await faultFixture();
  const { context, volume } = await withVolume(fixture);
  await machineHandler.create(machineInputs(volume, { name: "other-1", owner: "me/fly-pops/other" }), context);
  expect(await errorMessage(identityHandler.create(identityInputs(volume), context))).toMatch(
    /^cdg-1: volume vol_\w+ is attached to machine [0-9a-f]{14} of stack me\/fly-pops\/other\. No identity was created\./,
  );
});

test("other names for SSH make no call: the key stays", async () => {
  await using fixture = await faultFixture();
  const { context, volume } = await withVolume(fixture);
  const { id, outs } = await identityHandler.create(identityInputs(volume), context);
  fixture.fly.calls.clear();
  const updated = await identityHandler.update(id, outs, identityInputs(volume, { hosts: ["edge-cdg-1"] }));
  expect(updated).toMatchObject({ recipient: outs.recipient, knownHosts: `edge-cdg-1 ${outs.recipient}` });
  expect(fixture.fly.calls.count()).toBe(0);
});
