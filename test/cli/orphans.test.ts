/** What `orphans` lists and deletes, with a Pulumi that answers from files; by the real one in test/engine. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Orphan, selectForDeletion } from "../../cli/orphans.ts";
import { type Cli, cli, owner, values } from "../support/cli.ts";
import { image } from "../support/context.ts";

const urn = (type: string, name: string) => `urn:pulumi:test::fly-pops::${type}::${name}`;
const root = { urn: urn("pulumi:pulumi:Stack", "fly-pops-test"), type: "pulumi:pulumi:Stack" };
const machineType = "pulumi-nodejs:dynamic/fly:Machine";

/** A Pulumi whose state has these ids, and these begun and not ended, by name. */
function pulumi(it: Cli, state: { ids?: string[]; pending?: string[]; locked?: boolean } = {}): NodeJS.ProcessEnv {
  const bin = join(it.dir, "bin");
  mkdirSync(bin, { recursive: true });
  const deployment = {
    resources: [root, ...(state.ids ?? []).map((id) => ({ urn: urn(machineType, id), type: machineType, id }))],
    pending_operations: (state.pending ?? []).map((name) => ({
      resource: { urn: urn(machineType, name), type: machineType, inputs: { name } },
      type: "creating",
    })),
  };
  writeFileSync(join(it.dir, "state.json"), JSON.stringify({ deployment }));
  rmSync(join(it.dir, "lock"), { force: true });
  if (state.locked) writeFileSync(join(it.dir, "lock"), "");
  const script = `#!/bin/sh
case "$*" in
*"stack export"*) cat "${it.dir}/state.json" ;;
*"stack ls"*) echo '[{"name":"test"}]' ;;
*"state unprotect"*)
  echo "$*" >> "${it.dir}/locks"
  [ ! -e "${it.dir}/lock" ] || { echo 'error: the stack is currently locked by 1 lock(s). created by ci@runner (pid 7) at 2026-11-29T01:00:00Z' >&2; exit 255; } ;;
esac
`;
  writeFileSync(join(bin, "pulumi"), script, { mode: 0o755 });
  return { ...it.env, PULUMI_HOME: join(it.dir, "none"), PATH: `${bin}:${it.env.PATH}` };
}

async function scene(over: Record<string, unknown> = {}) {
  const it = await cli();
  it.config(values(over));
  await it.deploy();
  const made = async (what: string, body: object) =>
    (await it.local.call("POST", `/apps/my-edge/${what}`, body)).body.id as string;
  const volume = await made("volumes", { name: "pop_nrt_1", region: "nrt", size_gb: 3 });
  const metadata = { pops_stack: owner, pops_pop: "nrt-1" };
  const { addresses, volumes } = it.local.flyState();
  const ids = [
    ...it.local.machines().map(({ id }) => id),
    ...addresses.map(({ ip }) => ip),
    ...Object.keys(volumes).filter((id) => id !== volume),
  ];
  const machine = () =>
    made("machines", {
      name: "nrt-1",
      region: "nrt",
      config: { image: image(1), metadata, mounts: [{ volume, path: "/var" }] },
    });
  return { it, volume, ids, machine, [Symbol.asyncDispose]: () => it[Symbol.asyncDispose]() };
}

const deletes = (calls: string[]) => calls.filter((call) => call.startsWith("DELETE"));

test("what a deployment is making is not deleted, and neither is anything while one has the lock", async () => {
  await using at = await scene();
  const { it, volume, ids } = at;
  const machine = await at.machine();
  const env = pulumi(it, { ids: [...ids, volume], pending: ["nrt-1"], locked: true });
  const listed = await it.run(["orphans", "--json"], { env });
  expect(listed.code).toBe(3);
  expect(JSON.parse(listed.out)).toMatchObject([
    {
      id: machine,
      deletable: false,
      reason: "a deployment is creating it, or was interrupted while doing so: npx pulumi up continues it",
    },
  ]);
  const begun = await it.run(["orphans", "--delete", "--yes"], { env });
  expect(begun.code).toBe(3);
  expect(begun.err).toBe("Nothing was deleted: none of them belongs only to this stack. Inspect them with flyctl.\n");
  expect(deletes(begun.calls)).toEqual([]);

  // Lost for good, but a deployment is under way.
  const locked = await it.run(["orphans", "--delete", "--yes"], { env: pulumi(it, { ids, locked: true }) });
  expect(locked.code).toBe(1);
  expect(locked.err).toBe(
    "test: nothing was deleted, because a deployment may be running: the stack is currently locked by 1 lock(s). created by ci@runner (pid 7) at 2026-11-29T01:00:00Z.\n",
  );
  expect(deletes(locked.calls)).toEqual([]);

  const free = await it.run(["orphans", "--delete", "--yes"], { env: pulumi(it, { ids }) });
  expect(free).toMatchObject({ code: 0, err: `machine ${machine} deleted\nvolume ${volume} deleted\n` });
});

test("a volume that is kept on purpose is listed, is not a fault, and is deleted only by its id", async () => {
  await using at = await scene();
  const { it, volume, ids } = at;
  const env = pulumi(it, { ids });
  const listed = await it.run(["orphans"], { env });
  expect(listed.code).toBe(0);
  expect(listed.out).toContain("kept when its PoP was removed (fly-pops:keepVolumes), and billed");
  const all = await it.run(["orphans", "--delete", "--yes"], { env });
  expect(all).toMatchObject({ code: 0, err: "" });
  expect(deletes(all.calls)).toEqual([]);
  const asked: string[] = [];
  const one = await it.run(["orphans", volume, "--delete"], {
    env,
    ask: async (question) => {
      asked.push(question);
      return "y";
    },
  });
  expect(asked).toEqual([`Delete volume ${volume} with all data on it? [y/N] `]);
  expect(one).toMatchObject({ code: 0, err: `volume ${volume} deleted\n` });
});

test.each([
  ["where volumes are not kept", { keepVolumes: false }],
  ["of a PoP that the stack file wants", { regions: { cdg: {}, ewr: {}, nrt: {} } }],
])("a volume %s is an orphan as ever", async (_, over) => {
  await using at = await scene();
  at.it.config(values(over));
  const { code, out } = await at.it.run(["orphans", "--json"], { env: pulumi(at.it, { ids: at.ids }) });
  expect(code).toBe(3);
  expect(JSON.parse(out)).toMatchObject([{ id: at.volume, kept: false, deletable: true }]);
});

test("of several only those that are named go; with --json all of it is one value", async () => {
  await using at = await scene({ keepVolumes: false });
  const { it, volume, ids } = at;
  const machine = await at.machine();
  const env = pulumi(it, { ids });
  const { code, out, err } = await it.run(["orphans", machine, "--delete", "--yes", "--json"], { env });
  expect(code).toBe(3);
  expect(JSON.parse(out)).toMatchObject([
    { id: machine, deleted: true },
    { id: volume, deleted: false },
  ]);
  expect(err).toBe(`machine ${machine} deleted\n`);
  const none = await it.run(["orphans", "--delete", "--json"], { env, ask: async () => "n" });
  expect(JSON.parse(none.out)).toMatchObject([{ id: volume, deleted: false }]);
});

test("an id that is not an orphan is refused with all others; ids without --delete are half a sentence", async () => {
  await using at = await scene({ keepVolumes: false });
  const env = pulumi(at.it, { ids: at.ids });
  const wrong = await at.it.run(["orphans", at.volume, "vol_none", "--delete", "--yes"], { env });
  expect(wrong).toMatchObject({ code: 1, err: "orphans: vol_none is not an orphan. Nothing was deleted.\n" });
  expect(deletes(wrong.calls)).toEqual([]);
  expect(await at.it.run(["orphans", at.volume], { env })).toMatchObject({
    code: 2,
    calls: [],
    err: `orphans: ${at.volume} would be deleted. Pass --delete to confirm\n`,
  });
});

test("what is another stack's is not deleted by its id either", () => {
  const theirs: Orphan = {
    kind: "machine",
    id: "6f77f91ac40a50",
    app: "my-edge",
    name: "nrt-1",
    region: "nrt",
    reason: "made by stack organization/fly-pops/gone, which this backend does not have",
    deletable: false,
    kept: false,
  };
  expect(selectForDeletion([theirs], [])).toEqual({ going: [], refusals: [] });
  expect(selectForDeletion([theirs], [theirs.id])).toEqual({
    going: [],
    refusals: [`machine ${theirs.id} is not deleted: ${theirs.reason}`],
  });
});
