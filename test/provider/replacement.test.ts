/** Which change replaces an object, which updates it in place, which calls nothing: every property of every kind, by table and by deed. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { type AuthKeyInputs, authKeyHandler } from "../../providers/auth-key.ts";
import { type AddressInputs, addressHandler } from "../../providers/fly/address.ts";
import { type AppInputs, appHandler } from "../../providers/fly/app.ts";
import { type IdentityInputs, identityHandler } from "../../providers/fly/identity.ts";
import { type MachineInputs, machineHandler } from "../../providers/fly/machine.ts";
import { type VolumeInputs, volumeHandler } from "../../providers/fly/volume.ts";
import type { ChangeAction, Context, Handler, Properties } from "../../providers/handler.ts";
import { createProvider } from "../../providers/host.ts";
import type { ResourceType } from "../../providers/resource.ts";
import { type SealedSecretsInputs, sealedSecretsHandler } from "../../providers/sealed-secrets.ts";
import { app, identityInputs, image, machineInputs, volumeInputs, withImage } from "../support/context.ts";
import { type FaultFixture, faultFixture, liveMachines } from "../support/faults/fixture.ts";
import { identityOf } from "../support/identities.ts";
import { enc, memoryTailnet, openSops, sopsText } from "../support/sealing.ts";

/** A row: another value than the inputs have, what it does, and why Fly wants it so. */
type Table<Inputs> = { [Property in keyof Inputs]-?: [other: Inputs[Property], fate: ChangeAction, why: string] };

const appTable: Table<AppInputs> = {
  app: ["other-edge", "replace", "names cannot change"],
  organization: ["other", "replace", "the Machines API moves no apps"],
  owner: ["me/fly-pops/other", "ignored", "an app has no mark"],
  adoptFrom: ["me/fly-pops/gone", "ignored", "said once, at create"],
};

const addressTable: Table<AddressInputs> = {
  app: ["other-edge", "replace", "an address belongs to one app"],
  type: ["shared_v4", "replace", "no update exists for addresses"],
  adopt: ["2001:db8::9", "ignored", "said once, at create"],
  owner: ["me/fly-pops/other", "ignored", "an address has no mark"],
  adoptFrom: ["me/fly-pops/gone", "ignored", "said once, at create"],
};

const volumeTable: Table<VolumeInputs> = {
  pop: ["ams-1", "ignored", "only our messages say it"],
  app: ["other-edge", "replace", "a volume belongs to one app"],
  name: ["pop_other", "replace", "no update renames"],
  region: ["ams", "replace", "a volume cannot leave its region"],
  sizeGb: [9, "update", "it grows in place"],
  snapshotDays: [7, "update", "Fly changes it on the volume"],
  organization: ["other", "ignored", "only asked for room with"],
  guest: [{ cpu_kind: "shared", cpus: 2, memory_mb: 512 }, "ignored", "a hint for the first placement"],
  adopt: ["vol_0000000000000000", "ignored", "said once, at create"],
  kept: [true, "ignored", "whether it stays is the engine's doing"],
  owner: ["me/fly-pops/other", "ignored", "a volume has no mark"],
  adoptFrom: ["me/fly-pops/gone", "ignored", "said once, at create"],
};

const identityTable: Table<IdentityInputs> = {
  pop: ["ams-1", "ignored", "only our messages say it"],
  app: ["other-edge", "replace", "its volume belongs to one app"],
  name: ["other-identity", "ignored", "the machine is gone"],
  machine: ["other", "ignored", "asked only at create"],
  region: ["ams", "ignored", "the volume's region, and that replaces the volume"],
  volume: ["vol_0000000000000000", "replace", "the key is on it"],
  mountPath: ["/data", "replace", "the key is below it"],
  hosts: [["other"], "update", "only what known_hosts calls the key"],
  image: [image(2), "ignored", "whichever made the key, the key stays"],
  owner: ["me/fly-pops/other", "ignored", "the machine is gone"],
  timeoutSeconds: [99, "ignored", "our timeout"],
};

const dir = mkdtempSync(join(tmpdir(), "fly-pops-replacement-"));
afterAll(() => rmSync(dir, { recursive: true }));

function secretsFile(): string {
  const file = join(dir, "secrets.yaml");
  writeFileSync(file, sopsText({ token: "one" }, ["age1operator"]));
  return file;
}

const { recipient } = identityOf("this");
const { recipient: another } = identityOf("another");

const authKeyTable: Table<AuthKeyInputs> = {
  pop: ["ams-1", "ignored", "only our messages say it"],
  node: ["other", "ignored", "a node renames itself"],
  driver: ["tailscale", "update", "another control server, another key"],
  server: ["https://other.example", "update", "another control server, another key"],
  ca: ["PEM", "ignored", "how the server is known, not which"],
  tags: [["edge"], "update", "a key carries its tags"],
  recipient: [another, "replace", "another identity is another PoP"],
  isNew: [false, "ignored", "said once, at create"],
  secretName: ["other", "update", "it is in the encrypted file"],
};

const sealedTable: Table<SealedSecretsInputs> = {
  pop: ["ams-1", "ignored", "only our messages say it"],
  file: ["other.yaml", "ignored", "a file that moved holds what it held"],
  ciphertexts: [{ token: enc("two") }, "update", "another value"],
  recipient: [another, "update", "another key to seal to"],
};

const machineTable: Table<MachineInputs> = {
  pop: ["ams-1", "ignored", "only our messages say it"],
  app: ["other-edge", "replace", "a machine belongs to one app"],
  name: ["ams-1", "replace", "taken in an update, and ignored"],
  region: ["ams", "replace", "taken in an update, and ignored"],
  volume: ["vol_0000000000000000", "replace", "a mount cannot be swapped"],
  mountPath: ["/data", "update", "the path of a mount may change"],
  config: [withImage(machineInputs("v"), 2).config, "update", "in place, as a new version"],
  owner: ["me/fly-pops/other", "update", "it is metadata of the config"],
  routed: [false, "update", "cordon and uncordon, without a new version"],
  state: ["stopped", "update", "a machine that does not run is started"],
  adopt: ["148ed127a75938", "ignored", "said once, at create"],
  adoptFrom: ["me/fly-pops/gone", "ignored", "said once, at create"],
  joins: [
    { node: "pop-cdg-1", driver: "tailscale", expires: "2026-01-01T00:00:00Z" },
    "ignored",
    "a key is looked at while the PoP has yet to join",
  ],
  timeoutSeconds: [99, "ignored", "our timeout"],
  drainSeconds: [0, "ignored", "our timeout"],
  maxUnavailable: [2, "ignored", "our order"],
  maxUnavailableInRegion: [2, "ignored", "our order"],
};

interface Subject {
  kind: ResourceType;
  handler: Handler<Properties, Properties>;
  table: Record<string, [other: unknown, fate: ChangeAction, why: string]>;
  deleteBeforeReplace: boolean;
  /** Makes what must be there and tells the inputs. */
  prepare(context: Context): Promise<Properties>;
}

const subjectOf = <I extends Properties, O extends I>(
  kind: ResourceType,
  handler: Handler<I, O>,
  table: Table<I>,
  deleteBeforeReplace: boolean,
  prepare: (context: Context) => Promise<I>,
): Subject => ({ kind, handler, table, deleteBeforeReplace, prepare }) as unknown as Subject;

const withApp = (context: Context) => appHandler.create({ app, organization: "personal" }, context);

const byKind: Record<ResourceType, Subject> = {
  App: subjectOf("App", appHandler, appTable, false, async () => ({ app, organization: "personal" })),
  Address: subjectOf("Address", addressHandler, addressTable, false, async (context) => {
    await withApp(context);
    return { app, type: "v6" as const };
  }),
  Volume: subjectOf("Volume", volumeHandler, volumeTable, false, async (context) => {
    await withApp(context);
    return volumeInputs();
  }),
  Identity: subjectOf("Identity", identityHandler, identityTable, false, async (context) => {
    await withApp(context);
    return identityInputs((await volumeHandler.create(volumeInputs(), context)).id);
  }),
  AuthKey: subjectOf("AuthKey", authKeyHandler, authKeyTable, true, async () => ({
    pop: "cdg-1",
    node: "pop-cdg-1",
    driver: "headscale" as const,
    server: "https://login.example",
    tags: ["pop"],
    recipient,
    isNew: true,
    secretName: "tailscaleAuthKey",
  })),
  SealedSecrets: subjectOf("SealedSecrets", sealedSecretsHandler, sealedTable, false, async () => ({
    pop: "cdg-1",
    file: secretsFile(),
    ciphertexts: { token: enc("one") },
    recipient,
  })),
  Machine: subjectOf("Machine", machineHandler, machineTable, true, async (context) => {
    await withApp(context);
    return machineInputs((await volumeHandler.create(volumeInputs(), context)).id);
  }),
};
const subjects = Object.values(byKind);
const rows = subjects.flatMap((it) =>
  Object.entries(it.table).map(([property, [other, fate, why]]) => ({ ...it, property, other, fate, why })),
);
const rowsOf = (fate: ChangeAction) =>
  rows.filter((row) => row.fate === fate).map((row) => [row.kind, row.property, row.why, row] as const);

async function made({ handler, prepare }: Subject, fixture: FaultFixture) {
  const context = { ...fixture.context(), sops: openSops, tailnet: memoryTailnet().driver };
  const inputs = await prepare(context);
  const { id, outs } = await handler.create(inputs, context);
  fixture.fly.calls.clear();
  return { context, inputs, id, outs };
}

test.each(subjects.map((it) => [it.kind, it] as const))(
  "%s: every property has a row, and no row is of none",
  (_, it) => {
    expect(Object.keys(it.table).toSorted()).toEqual(Object.keys(it.handler.lifecycle).toSorted());
    expect(Object.fromEntries(Object.entries(it.table).map(([property, [, fate]]) => [property, fate]))).toEqual(
      it.handler.lifecycle,
    );
  },
);

test.each(subjects.map((it) => [it.kind, it] as const))("%s: every property of its inputs has a fate", (_, it) => {
  const { shape } = it.handler.schema as unknown as { shape: Record<string, unknown> };
  expect(Object.keys(shape).toSorted()).toEqual(Object.keys(it.handler.lifecycle).toSorted());
});

test.each(rows.map((row) => [row.kind, row.property, row.fate, row] as const))(
  "%s.%s: %s, as a preview says it",
  async (_, property, fate, row) => {
    await using fixture = await faultFixture();
    const { inputs, id, outs } = await made(row, fixture);
    const provider = createProvider(row.kind, row.handler, () => {
      throw new Error("a diff needs no credentials");
    });
    const { replaces, deleteBeforeReplace, changes } =
      (await provider.diff?.(id, outs, { ...inputs, [property]: row.other })) ?? {};
    expect(replaces).toEqual(fate === "replace" ? [property] : []);
    expect(deleteBeforeReplace).toBe(row.deleteBeforeReplace);
    // The engine compares inputs itself. If diff said "no change", it would keep old outputs beside new inputs.
    expect(changes).toBeUndefined();
    expect(fixture.fly.calls.count()).toBe(0);
  },
);

test.each(rows.map((row) => [row.kind, row.property, row] as const))(
  "%s.%s: the same value is not a change",
  async (_, property, row) => {
    await using fixture = await faultFixture();
    const { inputs, id, outs } = await made(row, fixture);
    const provider = createProvider(row.kind, row.handler, () => {
      throw new Error("a diff needs no credentials");
    });
    const same = { ...inputs, [property]: structuredClone(inputs[property]) };
    expect((await provider.diff?.(id, outs, same))?.replaces).toEqual([]);
  },
);

/** Resource types whose changes are sent to Fly; the others have their own files. Only a refresh finds an undesired state. */
const toldToFly = (rows: ReturnType<typeof rowsOf>) =>
  rows.filter(([kind, property]) => !["Identity", "AuthKey", "SealedSecrets"].includes(kind) && property !== "state");

test.each(toldToFly(rowsOf("update")))("%s.%s is changed in place: %s", async (_, property, _why, row) => {
  await using fixture = await faultFixture();
  const { context, inputs, id, outs } = await made(row, fixture);
  const news = { ...inputs, [property]: row.other };
  const updated = await row.handler.update(id, outs, news, context);
  expect(fixture.fly.calls.mutations()).toBeGreaterThan(0);
  expect(updated).toMatchObject({ [property]: row.other });
  const found = await row.handler.read(id, updated, context);
  expect(found?.id ?? id).toBe(id);
  expect(found?.inputs).toEqual(news);
});

test.each(rowsOf("ignored"))("%s.%s is stored, and nothing is called: %s", async (_, property, _why, row) => {
  await using fixture = await faultFixture();
  const { context, inputs, id, outs } = await made(row, fixture);
  const updated = await row.handler.update(id, outs, { ...inputs, [property]: row.other }, context);
  expect(fixture.fly.calls.count()).toBe(0);
  expect(updated).toMatchObject({ [property]: row.other });
});

test("nothing is replaced that Fly would let us keep: what replaces a machine, Fly refuses or ignores in an update", async () => {
  await using fixture = await faultFixture();
  const { context, inputs, id } = await made(byKind.Machine, fixture);
  const other = await volumeHandler.create(volumeInputs({ name: "pop_other" }), context);
  const before = await context.fly.getMachine(app, id);
  const config = before.config ?? {};
  const { nonce } = await context.fly.acquireLease(app, id, { ttlSeconds: 60, description: "test" });
  const swapped = { ...config, mounts: [{ volume: other.id, path: "/var" }] };
  await expect(context.fly.updateMachine(app, id, { config: swapped }, nonce)).rejects.toMatchObject({ status: 400 });
  await context.fly.updateMachine(app, id, { config, name: "ams-1", region: "ams" }, nonce);
  await fixture.clock.advance(60_000);
  expect(await context.fly.getMachine(app, id)).toMatchObject({ name: inputs.name, region: inputs.region });
});

test("two changes that replace are both named", async () => {
  await using fixture = await faultFixture();
  const { inputs, id, outs } = await made(byKind.Machine, fixture);
  const provider = createProvider("Machine", byKind.Machine.handler, () => {
    throw new Error("a diff needs no credentials");
  });
  const diff = await provider.diff?.(id, outs, { ...inputs, region: "ams", name: "ams-1", routed: false });
  expect(diff?.replaces?.toSorted()).toEqual(["name", "region"]);
});

test("a machine's replacement cannot stand beside it: its volume and name are taken until it is gone", async () => {
  await using fixture = await faultFixture();
  const { context, inputs } = await made(byKind.Machine, fixture);
  const twin = context.fly.createMachine(app, {
    name: "cdg-2",
    region: "cdg",
    config: { image: "nginx", mounts: [{ volume: String(inputs.volume), path: "/var" }] },
  });
  await expect(twin).rejects.toMatchObject({ status: 412 });
  const namesake = context.fly.createMachine(app, { name: "cdg-1", region: "cdg", config: { image: "nginx" } });
  await expect(namesake).rejects.toMatchObject({ status: 409 });
  expect(liveMachines(fixture.fly.snapshot())).toHaveLength(1);
});
