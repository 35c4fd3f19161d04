import { expect, test } from "vitest";
import { failingCheck } from "../../local/fly/runners/state-runner.ts";
import { image } from "../support/context.ts";
import { engine, stack, token } from "../support/engine.ts";

/** What state keeps of our code, by resource. */
function providerTexts(state: string): string[] {
  const { checkpoint } = JSON.parse(state) as {
    checkpoint: { latest: { resources: { outputs?: { __provider?: string } }[] } };
  };
  return checkpoint.latest.resources.flatMap(({ outputs }) => outputs?.__provider ?? []);
}

test("a stack's life: up, no change, drift, one more region, one image more, destroy", async () => {
  await using it = await engine();

  const first = await it.up();
  expect(first, first.output).toMatchObject({ code: 0 });
  expect(Object.keys(it.machines()).toSorted()).toEqual(["cdg-1", "ewr-1"]);
  expect(it.mutations().toSorted()).toEqual([
    "POST apps",
    "POST ip_assignments",
    "POST ip_assignments",
    "POST machines",
    "POST machines",
    "POST volumes",
    "POST volumes",
  ]);
  for (const text of [it.state(), first.output]) expect(text).not.toContain(token);
  const texts = providerTexts(it.state());
  expect(texts).toHaveLength(7);
  for (const text of texts)
    expect(text).toMatch(/^exports\.handler=\(\)=>require\("\.\/providers\/host\.ts"\)\.handler\("[A-Z][a-z]+"\)$/);

  const again = await it.run(["preview", "--expect-no-changes"]);
  expect(again, again.output).toMatchObject({ code: 0 });
  await it.up();
  expect(it.mutations()).toEqual([]);

  const before = it.machines();
  it.config(stack({ regions: { cdg: {}, ewr: {}, fra: {} } }));
  const third = await it.up();
  expect(third, third.output).toMatchObject({ code: 0 });
  expect(it.machines()).toMatchObject(before);
  expect(it.mutations()).toEqual(["POST volumes", "POST machines"]);

  it.config(stack({ regions: { cdg: {}, ewr: {}, fra: {} }, imageRef: image(2) }));
  const updated = await it.up();
  expect(updated, updated.output).toMatchObject({ code: 0 });
  expect(Object.values(it.machines())).toEqual(
    Array(3).fill(expect.objectContaining({ image: image(2), state: "started", cordoned: false })),
  );
  expect(Object.values(it.machines()).map(({ id }) => id)).toEqual(
    expect.arrayContaining(Object.values(before).map(({ id }) => id)),
  );

  const gone = await it.run(["destroy", "--yes", "--skip-preview"]);
  expect(gone, gone.output).toMatchObject({ code: 0 });
  const { apps, addresses, volumes } = it.fly.snapshot();
  expect({ apps, addresses, machines: it.machines() }).toEqual({ apps: {}, addresses: [], machines: {} });
  expect(Object.values(volumes).filter(({ state }) => state === "created")).toEqual([]);
});

test("a broken image ends with the old version serving everywhere, and a failed run that says why", async () => {
  await using it = await engine();
  it.config(stack({ rollout: { drain: 0, timeout: "10s", canary: "cdg" } }));
  expect((await it.up()).code).toBe(0);
  const before = it.machines();
  it.runner.image(image(2), { check: failingCheck });
  it.config(stack({ imageRef: image(2), rollout: { drain: 0, timeout: "10s", canary: "cdg" } }));

  const failed = await it.up();
  expect(failed.code).not.toBe(0);
  expect(failed.output).toMatch(/cdg-1: update undone after \d+ s, not healthy in time: health is critical/);
  const after = it.machines();
  expect(after["ewr-1"]).toEqual(before["ewr-1"]);
  expect(after["cdg-1"]).toMatchObject({ image: image(1), state: "started", cordoned: false });

  it.runner.image(image(2), undefined);
  const fixed = await it.up();
  expect(fixed, fixed.output).toMatchObject({ code: 0 });
  expect(Object.values(it.machines()).map((machine) => machine.image)).toEqual([image(2), image(2)]);
});

test("what was changed by hand shows in a refresh, and up puts it back", async () => {
  await using it = await engine();
  await it.up();
  const { id, app } = Object.values(it.fly.snapshot().machines).find(({ name }) => name === "cdg-1") ?? {
    id: "",
    app: "",
  };
  const config = structuredClone(it.fly.snapshot().machines[id]?.versions.at(-1)?.received);
  await it.fly.handle({
    method: "POST",
    path: `/v1/apps/${app}/machines/${id}`,
    query: new URLSearchParams(),
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ config: { ...config, env: { POP_NAME: "changed-by-hand" } } }),
  });
  const refreshed = await it.run(["refresh", "--yes", "--skip-preview", "--diff"]);
  expect(refreshed.output).toContain("changed-by-hand");
  it.mutations();
  const up = await it.up();
  expect(up, up.output).toMatchObject({ code: 0 });
  expect(it.fly.snapshot().machines[id]?.versions.at(-1)?.received.env).toEqual({ POP_NAME: "cdg-1" });
  expect(it.mutations().filter((route) => route === "POST machines/:id")).toHaveLength(1);
});

test("PoPs that order their certificates get the app's addresses, which are created before them", async () => {
  await using it = await engine();
  it.config(stack({ certificates: { acme: { email: "ada@example.org", terms: "agreed" } } }));
  const planned = await it.run(["preview"]);
  expect(planned, planned.output).toMatchObject({ code: 0 });
  const up = await it.up();
  expect(up, up.output).toMatchObject({ code: 0 });
  const { addresses, machines } = it.fly.snapshot();
  const reported = Object.values(machines).map(({ versions }) =>
    versions.at(-1)?.received.env?.POP_ADDRESSES?.split(" "),
  );
  expect(reported).toHaveLength(2);
  for (const all of reported) expect(all?.toSorted()).toEqual(addresses.map(({ ip }) => ip).toSorted());
  const again = await it.run(["preview", "--expect-no-changes"]);
  expect(again, again.output).toMatchObject({ code: 0 });
});
