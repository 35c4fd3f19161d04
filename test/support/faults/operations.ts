/** Every operation of every kind, each with the fixture it starts from. */
import { type Behaviour, failingCheck } from "../../../local/fly/runners/state-runner.ts";
import { addressHandler } from "../../../providers/fly/address.ts";
import { appHandler } from "../../../providers/fly/app.ts";
import { helperMachineConfig, type IdentityInputs, identityHandler } from "../../../providers/fly/identity.ts";
import { type MachineInputs, machineHandler } from "../../../providers/fly/machine.ts";
import { volumeHandler } from "../../../providers/fly/volume.ts";
import type { Context, Handler, Properties } from "../../../providers/handler.ts";
import type { ResourceType } from "../../../providers/resource.ts";
import { app, identityInputs, image, machineInputs, volumeInputs, withImage } from "../context.ts";
import type { FaultFixture } from "./fixture.ts";
import { type Subject, subject } from "./subject.ts";

export interface Operation {
  kind: ResourceType;
  /** As the table names it, e.g. "update, new image crashes". */
  name: string;
  verb: "create" | "read" | "update" | "delete";
  /** Makes what must be there, without faults, and returns the object the operation is about. */
  prepare(fixture: FaultFixture): Promise<Subject>;
  /** Images that may serve whatever went wrong: the old one, the new one. None: nothing runs yet, or nothing has to any more. */
  images?: { before: string | undefined; after: string | undefined };
  /** The new version cannot serve, so even without a fault the operation ends with the old one put back. */
  undone?: true;
  /** Ends with the machine cordoned, as the program wants it. */
  cordons?: true;
  /** What the user fixes before the next run. */
  fix?(fixture: FaultFixture): void;
}

const appInputs = { app, organization: "personal" };
const addressInputs = { app, type: "v6" as const };

const made = async <I extends Properties, O extends I>(handler: Handler<I, O>, inputs: I, context: Context) => ({
  ...(await handler.create(inputs, context)),
  inputs,
});

async function withApp(fixture: FaultFixture): Promise<Context> {
  const context = fixture.context();
  await appHandler.create(appInputs, context);
  return context;
}

async function withVolume(fixture: FaultFixture): Promise<{ context: Context; volume: string }> {
  const context = await withApp(fixture);
  return { context, volume: (await volumeHandler.create(volumeInputs(), context)).id };
}

async function withMachine(fixture: FaultFixture, over: Partial<MachineInputs> = {}) {
  const { context, volume } = await withVolume(fixture);
  return { context, before: await made(machineHandler, machineInputs(volume, over), context) };
}

/** An update to an image that behaves so; the old one is put back. */
const undone = (name: string, behaviour: Partial<Behaviour>, restart: string): Operation => ({
  kind: "Machine",
  name,
  verb: "update",
  images: { before: image(1), after: image(2) },
  undone: true,
  async prepare(fixture) {
    // Short timeouts, and left where it fell: looking again and again at what does not change would repeat one and the same case.
    const { config } = machineInputs("");
    const { before } = await withMachine(fixture, {
      timeoutSeconds: 3,
      config: { ...config, restart: { policy: restart } },
    });
    fixture.runner.image(image(2), behaviour);
    return subject(machineHandler, before, withImage(before.inputs, 2));
  },
  fix: ({ runner }) => runner.image(image(2), undefined),
});

const apps: Operation[] = [
  { kind: "App", name: "create", verb: "create", prepare: async () => subject(appHandler, undefined, appInputs) },
  {
    kind: "App",
    name: "read",
    verb: "read",
    prepare: async (fixture) => subject(appHandler, await made(appHandler, appInputs, fixture.context()), appInputs),
  },
  {
    kind: "App",
    name: "delete",
    verb: "delete",
    prepare: async (fixture) => subject(appHandler, await made(appHandler, appInputs, fixture.context()), undefined),
  },
];

const addresses: Operation[] = [
  {
    kind: "Address",
    name: "create",
    verb: "create",
    async prepare(fixture) {
      await withApp(fixture);
      return subject(addressHandler, undefined, addressInputs);
    },
  },
  {
    kind: "Address",
    name: "read",
    verb: "read",
    prepare: async (fixture) =>
      subject(addressHandler, await made(addressHandler, addressInputs, await withApp(fixture)), addressInputs),
  },
  {
    kind: "Address",
    name: "delete",
    verb: "delete",
    prepare: async (fixture) =>
      subject(addressHandler, await made(addressHandler, addressInputs, await withApp(fixture)), undefined),
  },
];

const volumes: Operation[] = [
  {
    kind: "Volume",
    name: "create",
    verb: "create",
    async prepare(fixture) {
      await withApp(fixture);
      return subject(volumeHandler, undefined, volumeInputs());
    },
  },
  {
    kind: "Volume",
    name: "create, found smaller",
    verb: "create",
    async prepare(fixture) {
      await withVolume(fixture);
      return subject(volumeHandler, undefined, volumeInputs({ sizeGb: 5 }));
    },
  },
  {
    kind: "Volume",
    name: "create, adopted",
    verb: "create",
    async prepare(fixture) {
      const { context } = await withVolume(fixture);
      const [found] = await context.fly.listVolumes(app);
      return subject(volumeHandler, undefined, volumeInputs({ sizeGb: 5, adopt: found?.id }));
    },
  },
  {
    kind: "Volume",
    name: "read",
    verb: "read",
    prepare: async (fixture) =>
      subject(volumeHandler, await made(volumeHandler, volumeInputs(), await withApp(fixture)), volumeInputs()),
  },
  {
    kind: "Volume",
    name: "update",
    verb: "update",
    prepare: async (fixture) =>
      subject(
        volumeHandler,
        await made(volumeHandler, volumeInputs(), await withApp(fixture)),
        volumeInputs({ sizeGb: 5 }),
      ),
  },
  {
    kind: "Volume",
    name: "delete",
    verb: "delete",
    prepare: async (fixture) =>
      subject(volumeHandler, await made(volumeHandler, volumeInputs(), await withApp(fixture)), undefined),
  },
];

async function withIdentity(fixture: FaultFixture, over: Partial<IdentityInputs> = {}) {
  const { context, volume } = await withVolume(fixture);
  return { context, before: await made(identityHandler, identityInputs(volume, over), context) };
}

/** A machine that an earlier run left behind, its work half done. */
async function leftBehind(fixture: FaultFixture, over: Partial<IdentityInputs> = {}): Promise<IdentityInputs> {
  const { context, volume } = await withVolume(fixture);
  const { name, region, ...inputs } = identityInputs(volume, over);
  await context.fly.createMachine(app, { name, region, config: helperMachineConfig({ name, region, ...inputs }) });
  await fixture.clock.advance(30_000);
  return identityInputs(volume);
}

const identities: Operation[] = [
  {
    kind: "Identity",
    name: "create",
    verb: "create",
    prepare: async (fixture) => subject(identityHandler, undefined, identityInputs((await withVolume(fixture)).volume)),
  },
  {
    kind: "Identity",
    name: "create, one left by a run that was cut off",
    verb: "create",
    prepare: async (fixture) => subject(identityHandler, undefined, await leftBehind(fixture)),
  },
  {
    kind: "Identity",
    name: "create, one left with another image",
    verb: "create",
    prepare: async (fixture) => subject(identityHandler, undefined, await leftBehind(fixture, { image: image(9) })),
  },
  {
    kind: "Identity",
    name: "create, the PoP runs already",
    verb: "create",
    images: { before: image(1), after: image(1) },
    async prepare(fixture) {
      const { before } = await withMachine(fixture);
      return subject(identityHandler, undefined, identityInputs(before.inputs.volume));
    },
  },
  {
    kind: "Identity",
    name: "read",
    verb: "read",
    async prepare(fixture) {
      const { before } = await withIdentity(fixture);
      return subject(identityHandler, before, before.inputs);
    },
  },
  {
    kind: "Identity",
    name: "delete",
    verb: "delete",
    async prepare(fixture) {
      const { before } = await withIdentity(fixture);
      return subject(identityHandler, before, undefined);
    },
  },
];

const machines: Operation[] = [
  {
    kind: "Machine",
    name: "create",
    verb: "create",
    images: { before: undefined, after: image(1) },
    prepare: async (fixture) => subject(machineHandler, undefined, machineInputs((await withVolume(fixture)).volume)),
  },
  {
    kind: "Machine",
    name: "create, found",
    verb: "create",
    images: { before: image(1), after: image(1) },
    async prepare(fixture) {
      const { before } = await withMachine(fixture);
      return subject(machineHandler, undefined, before.inputs);
    },
  },
  {
    kind: "Machine",
    name: "create, adopted",
    verb: "create",
    images: { before: image(1), after: image(2) },
    async prepare(fixture) {
      const { context, volume } = await withVolume(fixture);
      const { config } = machineInputs(volume);
      const mounts = [{ volume, path: "/data" }];
      // Made by hand: another name, another mount, no owner.
      const { id } = await context.fly.createMachine(app, {
        name: "by-hand",
        region: "cdg",
        config: { ...config, mounts },
      });
      await fixture.clock.advance(30_000);
      return subject(machineHandler, undefined, withImage(machineInputs(volume, { adopt: id }), 2));
    },
  },
  {
    kind: "Machine",
    name: "read",
    verb: "read",
    images: { before: image(1), after: image(1) },
    async prepare(fixture) {
      const { before } = await withMachine(fixture);
      return subject(machineHandler, before, before.inputs);
    },
  },
  {
    kind: "Machine",
    name: "update",
    verb: "update",
    images: { before: image(1), after: image(2) },
    async prepare(fixture) {
      const { before } = await withMachine(fixture);
      return subject(machineHandler, before, withImage(before.inputs, 2));
    },
  },
  undone("update, new image crashes", { exits: { afterMs: 100, exitCode: 3 } }, "no"),
  undone("update, new image fails its check", { check: failingCheck }, "always"),
  {
    kind: "Machine",
    name: "update, cordon only",
    verb: "update",
    cordons: true,
    images: { before: image(1), after: image(1) },
    async prepare(fixture) {
      const { before } = await withMachine(fixture);
      return subject(machineHandler, before, { ...before.inputs, routed: false });
    },
  },
  {
    kind: "Machine",
    name: "delete",
    verb: "delete",
    images: { before: image(1), after: undefined },
    async prepare(fixture) {
      const { before } = await withMachine(fixture);
      return subject(machineHandler, before, undefined);
    },
  },
];

/** A kind without operations does not compile. */
const byKind: Record<ResourceType, Operation[]> = {
  App: apps,
  Address: addresses,
  Volume: volumes,
  Identity: identities,
  // These two ask Fly for nothing: what goes wrong at a control server is in test/provider/auth-key.test.ts.
  AuthKey: [],
  SealedSecrets: [],
  Machine: machines,
};

export const operations: readonly Operation[] = Object.values(byKind).flat();
