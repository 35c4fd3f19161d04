/** Whatever is changed by hand shows in a refresh as exactly that, and the next `up` puts it back. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { MachineConfig } from "../../fly/wire.ts";
import { failingCheck } from "../../local/fly/runners/state-runner.ts";
import { addressHandler } from "../../providers/fly/address.ts";
import { appHandler } from "../../providers/fly/app.ts";
import { type MachineInputs, type MachineOutputs, machineHandler } from "../../providers/fly/machine.ts";
import { volumeHandler } from "../../providers/fly/volume.ts";
import { replacementKeys, requiresUpdate } from "../../providers/handler.ts";
import { app, image, machineInputs, volumeInputs } from "../support/context.ts";
import { type FaultFixture, faultFixture, liveMachines, token } from "../support/faults/fixture.ts";
import { machineConfig } from "../support/machine-configs.ts";

/** Where two values differ: paths as a preview prints them, the shortest that say it all. */
function differences(a: unknown, b: unknown, path = ""): string[] {
  const plain = (value: unknown) => typeof value === "object" && value !== null;
  if (!plain(a) || !plain(b) || Array.isArray(a) !== Array.isArray(b)) return Object.is(a, b) ? [] : [path];
  const [x, y] = [a, b] as [Record<string, unknown>, Record<string, unknown>];
  return [...new Set([...Object.keys(x), ...Object.keys(y)])].flatMap((key) =>
    differences(x[key], y[key], path === "" ? key : `${path}.${key}`),
  );
}

interface Pop {
  fixture: FaultFixture;
  inputs: MachineInputs;
  id: string;
  outs: MachineOutputs;
}

async function pop(fixture: FaultFixture, over: Partial<MachineInputs> = {}): Promise<Pop> {
  const context = fixture.context();
  await appHandler.create({ app, organization: "personal" }, context);
  const { id: volume } = await volumeHandler.create(volumeInputs(), context);
  const inputs = machineInputs(volume, over);
  return { fixture, inputs, ...(await machineHandler.create(inputs, context)) };
}

/** Posts a config as a person would who reads it first: with all that Fly has filled in. */
async function edit({ fixture, id }: Pop, change: (config: MachineConfig) => void): Promise<void> {
  const { fly } = fixture.context();
  const machine = await fly.getMachine(app, id);
  const config = machine.config ?? {};
  change(config);
  const { nonce } = await fly.acquireLease(app, id, { ttlSeconds: 60, description: "by hand" });
  await fly.updateMachine(app, id, { config }, nonce);
  await fly.releaseLease(app, id, nonce);
  await fixture.clock.advance(30_000);
}

/** What a person's flyctl would send. */
const byHand = (fixture: FaultFixture, id: string, verb: string) =>
  fixture.fly.handle({
    method: "POST",
    path: `/v1/apps/${app}/machines/${id}/${verb}`,
    headers: { authorization: `Bearer ${token}` },
  });

async function refreshed({ fixture, id, outs, inputs }: Pop): Promise<{ shown: string[]; outs: MachineOutputs }> {
  const found = await machineHandler.read(id, outs, fixture.context());
  if (!found) throw new Error("it is gone");
  return { shown: differences(inputs, found.inputs), outs: found.outs };
}

async function putBack(it: Pop, outs: MachineOutputs): Promise<void> {
  const updated = await machineHandler.update(it.id, outs, it.inputs, it.fixture.context());
  expect(updated).toMatchObject({ complete: true });
  expect((await refreshed({ ...it, outs: updated })).shown).toEqual([]);
}

/** Every field of the config a PoP has, and those that may be added by hand; each with what a refresh then shows. */
const edits: [field: string, change: (config: MachineConfig) => void][] = [
  [
    "config.image",
    (it) => {
      it.image = image(7);
    },
  ],
  [
    "config.guest.memory_mb",
    (it) => {
      it.guest = { ...it.guest, memory_mb: 512 };
    },
  ],
  [
    "config.guest.cpus",
    (it) => {
      it.guest = { ...it.guest, cpus: 2, memory_mb: 512 };
    },
  ],
  [
    "config.env.POP_NAME",
    (it) => {
      it.env = { ...it.env, POP_NAME: "ams-1" };
    },
  ],
  [
    "config.env.DEBUG",
    (it) => {
      it.env = { ...it.env, DEBUG: "" };
    },
  ],
  [
    "config.metadata",
    (it) => {
      it.metadata = { ...it.metadata, note: "by hand" };
    },
  ],
  [
    "config.services.0.internal_port",
    (it) => {
      for (const service of it.services ?? []) service.internal_port = 1103;
    },
  ],
  [
    "config.services.0.autostop",
    (it) => {
      for (const service of it.services ?? []) service.autostop = "suspend";
    },
  ],
  [
    "config.services.0.autostart",
    (it) => {
      for (const service of it.services ?? []) service.autostart = false;
    },
  ],
  [
    "config.services.0.min_machines_running",
    (it) => {
      for (const service of it.services ?? []) service.min_machines_running = 1;
    },
  ],
  [
    "config.services.0.concurrency",
    (it) => {
      for (const service of it.services ?? []) service.concurrency = { type: "requests", soft_limit: 50 };
    },
  ],
  [
    "config.services.0.ports.0.port",
    (it) => {
      for (const { ports } of it.services ?? []) for (const port of ports ?? []) port.port = 8443;
    },
  ],
  [
    "config.services.0.ports.0.proxy_proto_options.version",
    (it) => {
      for (const { ports } of it.services ?? [])
        for (const port of ports ?? []) port.proxy_proto_options = { version: "v1" };
    },
  ],
  [
    "config.services.0.ports.1",
    (it) => {
      for (const service of it.services ?? [])
        service.ports = [...(service.ports ?? []), { port: 80, handlers: ["http"] }];
    },
  ],
  [
    "config.services.1",
    (it) => {
      it.services = [...(it.services ?? []), { protocol: "tcp", internal_port: 9, ports: [{ port: 9 }] }];
    },
  ],
  [
    "config.checks.health.path",
    (it) => {
      if (it.checks?.health) it.checks.health.path = "/";
    },
  ],
  [
    "config.checks.health.interval",
    (it) => {
      if (it.checks?.health) it.checks.health.interval = "2m";
    },
  ],
  [
    "config.checks.second",
    (it) => {
      it.checks = { ...it.checks, second: { type: "tcp", port: 1105 } };
    },
  ],
  [
    "config.restart.policy",
    (it) => {
      it.restart = { policy: "no" };
    },
  ],
  [
    "config.restart.max_retries",
    (it) => {
      it.restart = { ...it.restart, max_retries: 3 };
    },
  ],
  [
    "config.stop_config.timeout",
    (it) => {
      it.stop_config = { ...it.stop_config, timeout: "5s" };
    },
  ],
  [
    "config.stop_config.signal",
    (it) => {
      it.stop_config = { ...it.stop_config, signal: "SIGINT" };
    },
  ],
  [
    "config.files",
    (it) => {
      it.files = [{ guest_path: "/etc/motd", raw_value: "aGFuZA==" }];
    },
  ],
  [
    "config.init",
    (it) => {
      it.init = { cmd: ["/bin/sh"] };
    },
  ],
  [
    "config.schedule",
    (it) => {
      it.schedule = "daily";
    },
  ],
  [
    "config.auto_destroy",
    (it) => {
      it.auto_destroy = true;
    },
  ],
  [
    "config.dns",
    (it) => {
      it.dns = { nameservers: ["9.9.9.9"] };
    },
  ],
  [
    "mountPath",
    (it) => {
      for (const mount of it.mounts ?? []) mount.path = "/data";
    },
  ],
];

test.each(edits)("changed by hand, %s shows as just that and is put back", async (field, change) => {
  await using fixture = await faultFixture();
  const it = await pop(fixture);
  await edit(it, change);
  const { shown, outs } = await refreshed(it);
  const also = field === "config.guest.cpus" ? ["config.guest.memory_mb"] : [];
  expect(shown.toSorted()).toEqual([field, ...also].toSorted());
  await putBack(it, outs);
});

const removals: [field: string, change: (config: MachineConfig) => void][] = [
  [
    "config.env",
    (it) => {
      delete it.env;
    },
  ],
  [
    "config.checks",
    (it) => {
      delete it.checks;
    },
  ],
  [
    "config.services",
    (it) => {
      delete it.services;
    },
  ],
  [
    "config.restart",
    (it) => {
      delete it.restart;
    },
  ],
  [
    "config.stop_config",
    (it) => {
      delete it.stop_config;
    },
  ],
  [
    "config.services.0.ports.0.handlers",
    (it) => {
      for (const { ports } of it.services ?? []) for (const port of ports ?? []) delete port.handlers;
    },
  ],
  [
    "config.stop_config.signal",
    (it) => {
      delete it.stop_config?.signal;
    },
  ],
  [
    "owner",
    (it) => {
      delete it.metadata;
    },
  ],
];

test.each(removals)("removed by hand, %s shows as just that and is put back", async (field, change) => {
  await using fixture = await faultFixture();
  const it = await pop(fixture);
  await edit(it, change);
  const { shown, outs } = await refreshed(it);
  expect(shown).toEqual([field]);
  await putBack(it, outs);
});

test("in any config, one variable, one port of a service and one interval changed by hand show as just these", async () => {
  await fc.assert(
    fc.asyncProperty(machineConfig, async (config) => {
      await using fixture = await faultFixture();
      const it = await pop(fixture, { config });
      await edit(it, (found) => {
        found.env = { ...found.env, BY_HAND: "1" };
        for (const service of found.services ?? [])
          service.internal_port = service.internal_port === 4242 ? 4243 : 4242;
        // Longer than any that is generated, or now and then nothing would have changed.
        for (const check of Object.values(found.checks ?? {})) check.interval = "1h";
      });
      const { shown, outs } = await refreshed(it);
      const wanted = [
        Object.keys(config.env ?? {}).length > 0 ? "config.env.BY_HAND" : "config.env",
        ...(config.services ?? []).map((_, index) => `config.services.${index}.internal_port`),
        ...Object.keys(config.checks ?? {}).map((name) => `config.checks.${name}.interval`),
      ];
      // Where nothing was, the whole key is new; an empty map in the stack file is still there with it.
      const same = (path: string) => (path === "config.env.BY_HAND" ? "config.env" : path);
      expect(shown.map(same).toSorted()).toEqual(wanted.map(same).toSorted());
      await putBack(it, outs);
    }),
    { numRuns: 40 },
  );
});

test("a rewritten value with the same meaning is not drift", async () => {
  await using fixture = await faultFixture();
  const it = await pop(fixture);
  await edit(it, (config) => {
    config.stop_config = { signal: "SIGTERM", timeout: 60_000_000_000 };
    config.metadata = { ...config.metadata, fly_flyctl_version: "0.4.0" };
    config.guest = { memory_mb: 256, cpus: 1, cpu_kind: "shared" };
  });
  expect((await refreshed(it)).shown).toEqual([]);
});

test("a machine cordoned by hand shows it, and is routed again without a new version", async () => {
  await using fixture = await faultFixture();
  const it = await pop(fixture);
  await it.fixture.context().fly.cordonMachine(app, it.id);
  const { shown, outs } = await refreshed(it);
  expect(shown).toEqual(["routed"]);
  await putBack(it, outs);
  expect(fixture.fly.calls.count("POST machines/:id")).toBe(0);
  expect(liveMachines(fixture.fly.snapshot())[0]?.cordoned).toBe(false);
});

const changes: [change: string, found: string, by: (it: Pop) => Promise<unknown>][] = [
  ["stopped", "stopped", ({ fixture, id }) => byHand(fixture, id, "stop")],
  ["suspended", "suspended", ({ fixture, id }) => byHand(fixture, id, "suspend")],
];
test.each(changes)("a machine that an operator %s shows as %s, and is started and verified", async (_, found, by) => {
  await using fixture = await faultFixture();
  const it = await pop(fixture);
  await by(it);
  await fixture.clock.advance(90_000);
  const { shown, outs } = await refreshed(it);
  expect({ shown, state: outs.state }).toEqual({ shown: ["state"], state: found });
  expect(requiresUpdate(machineHandler.lifecycle, outs, it.inputs)).toBe(true);
  await putBack(it, outs);
  expect(liveMachines(fixture.fly.snapshot())).toMatchObject([{ state: "started", cordoned: false }]);
});

test("a machine on its way back from a restart is not drift", async () => {
  await using fixture = await faultFixture();
  const it = await pop(fixture);
  await byHand(fixture, it.id, "restart");
  expect((await refreshed(it)).shown).toEqual([]);
});

test("a check that fails for a minute is drift, one that recovers is not", async () => {
  await using fixture = await faultFixture();
  const it = await pop(fixture);
  fixture.runner.machine(it.id, { check: failingCheck });
  await fixture.clock.advance(20_000);
  fixture.fly.calls.clear();
  const { shown, outs } = await refreshed(it);
  expect({ shown, state: outs.state }).toEqual({ shown: ["state"], state: "unhealthy" });
  expect(fixture.fly.calls.count("GET machines/:id")).toBe(7);
  fixture.clock.after(30_000, () => fixture.runner.machine(it.id, undefined));
  expect((await refreshed(it)).shown).toEqual([]);
});

test("a PoP's mark that was changed or removed by hand is drift, and is put back", async () => {
  const marks: Record<string, string>[] = [{ pops_pop: "ewr-9" }, {}];
  for (const mark of marks) {
    await using fixture = await faultFixture();
    const it = await pop(fixture);
    await edit(it, (config) => {
      const { pops_pop: _, ...metadata } = config.metadata ?? {};
      config.metadata = { ...metadata, ...mark };
    });
    const { shown, outs } = await refreshed(it);
    expect(shown).toEqual(["config.metadata"]);
    await putBack(it, outs);
  }
});

test("a machine destroyed by hand is gone, and made again on its volume", async () => {
  await using fixture = await faultFixture();
  const it = await pop(fixture);
  await fixture.context().fly.deleteMachine(app, it.id, { force: true });
  expect(await machineHandler.read(it.id, it.outs, fixture.context())).toBeUndefined();
  const { outs } = await machineHandler.create(it.inputs, fixture.context());
  expect(outs).toMatchObject({ state: "started", volume: it.inputs.volume });
});

test("a volume grown by hand shows its size, and the program is asked to follow since it cannot shrink", async () => {
  await using fixture = await faultFixture();
  const it = await pop(fixture);
  const inputs = volumeInputs();
  const context = fixture.context();
  const { id, outs } = await volumeHandler.create(inputs, context);
  await context.fly.extendVolume(app, it.inputs.volume, 10);
  const found = await volumeHandler.read(id, outs, context);
  expect(differences(inputs, found?.inputs)).toEqual(["sizeGb"]);
  const [refusal] = volumeHandler.check(found?.inputs, inputs);
  expect(refusal).toMatchObject({ property: "sizeGb", reason: expect.stringContaining("Set it to 10") });
  expect(volumeHandler.check(found?.inputs, { ...inputs, sizeGb: 10 })).toEqual([]);
});

test("a volume destroyed by hand is gone and made again", async () => {
  await using fixture = await faultFixture();
  const context = fixture.context();
  await appHandler.create({ app, organization: "personal" }, context);
  const { id, outs } = await volumeHandler.create(volumeInputs(), context);
  await context.fly.deleteVolume(app, id);
  expect(await volumeHandler.read(id, outs, context)).toBeUndefined();
  expect((await volumeHandler.create(volumeInputs(), fixture.context())).id).not.toBe(id);
});

test("an address released by hand is gone, and assigned again", async () => {
  await using fixture = await faultFixture();
  const context = fixture.context();
  await appHandler.create({ app, organization: "personal" }, context);
  const { id, outs } = await addressHandler.create({ app, type: "v6" }, context);
  await context.fly.releaseAddress(app, id);
  expect(await addressHandler.read(id, outs, context)).toBeUndefined();
  await addressHandler.create({ app, type: "v6" }, fixture.context());
  expect(fixture.fly.snapshot().addresses).toHaveLength(1);
});

test("an app deleted by hand takes all with it: everything reads as gone", async () => {
  await using fixture = await faultFixture();
  const it = await pop(fixture);
  const context = fixture.context();
  await context.fly.deleteApp(app);
  await fixture.clock.advance(700_000);
  expect(await appHandler.read(app, { app, organization: "personal", schemaVersion: 1 }, context)).toBeUndefined();
  expect(await machineHandler.read(it.id, it.outs, context)).toBeUndefined();
});

test("a machine that Fly moved to another host is taken over with its new volume: nothing is replaced, nothing called", async () => {
  await using fixture = await faultFixture();
  const it = await pop(fixture);
  const context = fixture.context();
  const volumeOuts = (await volumeHandler.create(volumeInputs(), context)).outs;
  const { volume: moved = "" } = await fixture.fly.platform.migrate(it.id);
  const volume = await volumeHandler.read(it.inputs.volume, volumeOuts, context);
  const machine = await machineHandler.read(it.id, it.outs, context);
  expect([volume?.id, machine?.inputs.volume]).toEqual([moved, moved]);
  expect(volume?.inputs).toEqual(volumeInputs());
  const program = { ...it.inputs, volume: moved };
  expect(replacementKeys(machineHandler.lifecycle, machine?.inputs ?? {}, program)).toEqual([]);
  expect(requiresUpdate(machineHandler.lifecycle, machine?.inputs ?? {}, program)).toBe(false);
});

test("a host that does not answer is not drift: state keeps what it knew, and says so", async () => {
  await using fixture = await faultFixture();
  const it = await pop(fixture);
  fixture.fly.platform.hostDown(liveMachines(fixture.fly.snapshot())[0]?.zone ?? "");
  expect((await refreshed(it)).shown).toEqual([]);
  expect(fixture.lines.at(-1)).toMatch(/^cdg-1: the host of machine [0-9a-f]{14} does not answer/);
});
