/** Two stacks of one project in one organization: what is the other's is known by its marks, and neither touches it. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "vitest";
import { stringify } from "yaml";
import { type Engine, engine, stack } from "../support/engine.ts";

const yes = ["--yes", "--skip-preview"];

/** Another stack beside the engine's own: of the same project, in the same backend, on the same Fly. */
async function beside(it: Engine, name: string) {
  const made = await it.command("pulumi", ["--non-interactive", "stack", "init", name]);
  if (made.code !== 0) throw new Error(made.output);
  const file = join(it.project, `Pulumi.${name}.yaml`);
  const salted = readFileSync(file, "utf8");
  return {
    run: (args: string[]) => it.command("pulumi", ["--non-interactive", ...args, "--stack", name]),
    config(values: Record<string, unknown>) {
      const config = Object.fromEntries(Object.entries(values).map(([key, value]) => [`fly-pops:${key}`, value]));
      writeFileSync(file, `${salted}${stringify({ config })}`);
    },
  };
}

const ids = (it: Engine) => Object.fromEntries(Object.entries(it.machines()).map(([name, { id }]) => [name, id]));
const owners = (it: Engine) =>
  Object.values(it.fly.snapshot().machines)
    .filter(({ state }) => state !== "destroyed")
    .map(({ version, versions }) => versions.find((one) => one.version === version)?.received.metadata?.pops_stack);
const urns = (it: Engine): string[] =>
  (JSON.parse(it.state()).checkpoint.latest.resources as { urn: string; type: string }[])
    .filter(({ type }) => type.startsWith("pulumi-nodejs:dynamic/"))
    .map(({ urn }) => urn);

test.concurrent("a second stack has nothing of the first's: not by its app's name, not by destroying its own, not after a move", async ({
  expect,
}) => {
  await using it = await engine();
  it.config(stack({ regions: { cdg: {} } }));
  const first = await it.run(["up", ...yes]);
  expect(first.code, first.output).toBe(0);
  const before = { ids: ids(it), addresses: it.fly.snapshot().addresses };
  it.mutations();

  const other = await beside(it, "other");
  other.config(stack({ regions: { nrt: {} } }));
  const sentence =
    "my-edge: the app belongs to stack organization/fly-pops/test, whose machine cdg-1 runs in it. Nothing was changed. Two stacks cannot share an app, its addresses and its registry: choose another fly-pops:app. If that stack is gone and this one should adopt its objects, set fly-pops:adopt.from to organization/fly-pops/test";
  for (const args of [["preview"], ["up", ...yes]]) {
    const refused = await other.run(args);
    expect(refused.code).not.toBe(0);
    expect(refused.output).toContain(sentence);
  }
  expect(it.mutations()).toEqual([]);
  const nothing = await other.run(["destroy", ...yes]);
  expect(nothing.code, nothing.output).toBe(0);
  expect({ ids: ids(it), addresses: it.fly.snapshot().addresses }).toEqual(before);

  // All of it moved to another stack: that one has it, the former one is refused what it had.
  const heir = await beside(it, "heir");
  const moved = await it.command("pulumi", [
    ...["state", "move", "--yes", "--include-parents", "--source", "test", "--dest", "heir"],
    ...urns(it),
  ]);
  expect(moved.code, moved.output).toBe(0);
  heir.config(stack({ regions: { cdg: {} } }));
  const taken = await heir.run(["up", ...yes]);
  expect(taken.code, taken.output).toBe(0);
  expect({ ids: ids(it), addresses: it.fly.snapshot().addresses }).toEqual(before);
  expect(owners(it)).toEqual(["organization/fly-pops/heir"]);
  it.mutations();
  const former = await it.run(["up", ...yes]);
  expect(former.code).not.toBe(0);
  expect(former.output).toContain("belongs to stack organization/fly-pops/heir, whose machine cdg-1 runs in it");
  expect(it.mutations()).toEqual([]);

  // With an app of its own it runs the same PoP, and takes that away again alone.
  it.config(stack({ app: "own-edge", regions: { cdg: {} } }));
  const own = await it.run(["up", ...yes]);
  expect(own.code, own.output).toBe(0);
  const gone = await it.run(["destroy", ...yes]);
  expect(gone.code, gone.output).toBe(0);
  expect({ ids: ids(it), addresses: it.fly.snapshot().addresses }).toEqual(before);

  // Under another name it is the same edge, and grows as such while its machines bear the former one.
  const renamed = await heir.run(["stack", "rename", "renamed"]);
  expect(renamed.code, renamed.output).toBe(0);
  const file = join(it.project, "Pulumi.renamed.yaml");
  writeFileSync(file, readFileSync(file, "utf8").replace("cdg: {}", "cdg: {}\n    nrt: {}"));
  const after = await it.command("pulumi", ["--non-interactive", "up", ...yes, "--stack", "renamed"]);
  expect(after.code, after.output).toBe(0);
  expect({ ids: { "cdg-1": ids(it)["cdg-1"] }, addresses: it.fly.snapshot().addresses }).toEqual(before);
  expect(owners(it)).toEqual(["organization/fly-pops/renamed", "organization/fly-pops/renamed"]);
});
