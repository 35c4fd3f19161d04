/** A stack of the previous version, whose machines and state have the former names: it is found, kept, and gets the current names with its next update. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "vitest";
import { image } from "../support/context.ts";
import { type Engine, engine, expectAllHealthy, stack, token } from "../support/engine.ts";

const former: Record<string, string> = {
  pops_stack: "fly_pops_stack",
  pops_pop: "fly_pops_key",
  pops_volume_gb: "fly_pops_volume_gb",
};

const metadata = (it: Engine): Record<string, string>[] =>
  Object.values(it.fly.snapshot().machines)
    .filter(({ state }) => state !== "destroyed")
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ version, versions }) => versions.find((one) => one.version === version)?.received.metadata ?? {});

/** Renames the metadata of every machine, as Fly's API does without a restart, and the inputs in state. */
async function giveFormerNames(it: Engine): Promise<void> {
  for (const { id, app, versions } of Object.values(it.fly.snapshot().machines)) {
    const current = Object.entries(versions.at(-1)?.received.metadata ?? {});
    const answer = await it.fly.handle({
      method: "PUT",
      path: `/v1/apps/${app}/machines/${id}/metadata`,
      query: new URLSearchParams(),
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify({
        metadata: Object.fromEntries(current.map(([key, value]) => [former[key] ?? key, value])),
      }),
    });
    if (answer.status !== 204) throw new Error(JSON.stringify(answer));
  }
  const file = join(it.project, "former.json");
  const exported = await it.run(["stack", "export", "--file", file]);
  if (exported.code !== 0) throw new Error(exported.output);
  writeFileSync(file, readFileSync(file, "utf8").replaceAll('"pops_volume_gb"', '"fly_pops_volume_gb"'));
  const imported = await it.run(["stack", "import", "--file", file]);
  if (imported.code !== 0) throw new Error(imported.output);
}

test.concurrent("machines with the former metadata keys are found and kept, and the next update writes the current ones", async ({
  expect,
}) => {
  await using it = await engine();
  const first = await it.up();
  expect(first.code, first.output).toBe(0);
  await giveFormerNames(it);
  const before = it.machines();
  const isFormer = metadata(it);
  expect(isFormer).toEqual([
    { fly_pops_stack: "organization/fly-pops/test", fly_pops_key: "cdg-1", fly_pops_volume_gb: "3" },
    { fly_pops_stack: "organization/fly-pops/test", fly_pops_key: "ewr-1", fly_pops_volume_gb: "3" },
  ]);
  expect(it.state()).toContain("fly_pops_volume_gb");
  it.mutations();

  // They count neither as drift nor as a change, and are not orphans.
  const refreshed = await it.run(["refresh", "--yes", "--skip-preview", "--expect-no-changes"]);
  expect(refreshed.code, refreshed.output).toBe(0);
  const orphans = await it.script(["cli/main.ts", "orphans", "--json", "--stack", "test"]);
  expect(orphans.code, orphans.output).toBe(0);
  const status = await it.script(["cli/main.ts", "status", "--json", "--stack", "test"]);
  // A PoP that is not found has a row too, without a machine.
  for (const { id } of Object.values(before)) expect(status.output).toContain(id);
  const kept = await it.up();
  expect(kept.code, kept.output).toBe(0);
  // Health is read inside of the PoPs.
  expect(it.mutations().filter((route) => route !== "POST machines/:id/exec")).toEqual([]);
  expect(it.machines()).toEqual(before);
  expect(metadata(it)).toEqual(isFormer);
  // State has the current names now, so that the machines do not show as changed again.
  expect(it.state()).not.toContain("fly_pops_volume_gb");

  it.config(stack({ imageRef: image(2) }));
  const updated = await it.up();
  expect(updated.code, updated.output).toBe(0);
  expect(it.mutations().filter((route) => route === "POST machines" || route === "POST machines/:id")).toEqual([
    "POST machines/:id",
    "POST machines/:id",
  ]);
  const ids = (machines: ReturnType<Engine["machines"]>) => Object.values(machines).map(({ id }) => id);
  expect(ids(it.machines()).toSorted()).toEqual(ids(before).toSorted());
  expect(metadata(it)).toEqual([
    { pops_stack: "organization/fly-pops/test", pops_pop: "cdg-1", pops_volume_gb: "3" },
    { pops_stack: "organization/fly-pops/test", pops_pop: "ewr-1", pops_volume_gb: "3" },
  ]);
  await expectAllHealthy(it, expect, 2);
});

test.concurrent("a machine with the former metadata keys that state has lost is adopted, not doubled", async ({
  expect,
}) => {
  await using it = await engine();
  expect((await it.up()).code).toBe(0);
  await giveFormerNames(it);
  const before = it.machines();
  const urn = (JSON.parse(it.state()).checkpoint.latest.resources as { urn: string; inputs?: { pop?: string } }[]).find(
    ({ urn, inputs }) => urn.includes(":Machine::") && inputs?.pop === "cdg-1",
  )?.urn;
  const lost = await it.run(["state", "delete", urn ?? "", "--target-dependents", "--yes"]);
  expect(lost.code, lost.output).toBe(0);
  it.mutations();
  const found = await it.up();
  expect(found.code, found.output).toBe(0);
  expect(it.machines()).toEqual(before);
  expect(it.mutations()).not.toContain("POST machines/:id");
  await expectAllHealthy(it, expect, 1);
});

test.concurrent("a machine that names another stack under the former key is left alone", async ({ expect }) => {
  await using it = await engine();
  expect((await it.up()).code).toBe(0);
  await giveFormerNames(it);
  it.mutations();
  const { id, app } = Object.values(it.fly.snapshot().machines)[0] ?? { id: "", app: "" };
  await it.fly.handle({
    method: "POST",
    path: `/v1/apps/${app}/machines/${id}/metadata/fly_pops_stack`,
    query: new URLSearchParams(),
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ value: "organization/fly-pops/other" }),
  });
  it.mutations();
  const before = it.machines();
  it.config(stack({ imageRef: image(2), rollout: { drain: 0, timeout: "60s", canary: "cdg" } }));
  const refused = await it.up();
  expect(refused.code).not.toBe(0);
  expect(refused.output).toContain("organization/fly-pops/other");
  expect(Object.values(it.machines()).find((one) => one.id === id)).toEqual(
    Object.values(before).find((one) => one.id === id),
  );
});
