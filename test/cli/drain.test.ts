import { expect, test } from "vitest";
import { failingCheck } from "../../local/fly/runners/state-runner.ts";
import { cli, says } from "../support/cli.ts";

const fleet = async () => {
  const it = await cli({ behaviour: { exec: says({ status: "ok" }) } });
  await it.deploy();
  return it;
};
type Fleet = Awaited<ReturnType<typeof fleet>>;

const cordoned = (it: Fleet) =>
  Object.fromEntries(it.local.machines().map(({ name, cordoned, lease }) => [name, { cordoned, leased: !!lease }]));
const on = (it: Fleet, pop: string, verb: string) =>
  it.local.call("POST", `/apps/my-edge/machines/${it.machine(pop).id}/${verb}`);
const verbs = (calls: string[]) =>
  calls.filter((call) => /POST|DELETE/.test(call)).map((call) => call.split("/").at(-1)?.split("?")[0]);

test("drain: cordoned under a lease, runs on, shows in status; undrain: seen to serve, then routed", async () => {
  await using it = await fleet();
  const drained = await it.run(["drain", "cdg-1"]);
  expect(drained).toMatchObject({ code: 0, out: "" });
  expect(drained.err).toBe(
    "cdg-1: drained. It gets no new connections; open ones continue\nOut of routing until: npx fly-pops undrain cdg-1. A deployment that changes a PoP also routes it again, and so does npx pulumi up --refresh.\n",
  );
  expect(verbs(drained.calls)).toEqual(["lease", "cordon", "lease"]);
  expect(cordoned(it)).toEqual({
    "cdg-1": { cordoned: true, leased: false },
    "ewr-1": { cordoned: false, leased: false },
  });
  const { code, out } = await it.run(["status"]);
  expect(code).toBe(3);
  expect(out).toContain("started, cordoned");
  expect(out).toContain(
    "cdg-1: cordoned, so Fly Proxy sends it no visitors. Route it again: npx fly-pops undrain cdg-1",
  );
  expect(await it.run(["drain", "cdg-1"])).toMatchObject({ code: 0, err: expect.stringContaining("already drained") });
  const undrained = await it.run(["undrain", "cdg-1"]);
  expect(undrained).toMatchObject({ code: 0, err: "cdg-1: healthy and in routing\n" });
  expect(verbs(undrained.calls).at(-2)).toBe("uncordon");
  expect(cordoned(it)["cdg-1"]).toEqual({ cordoned: false, leased: false });
  expect(await it.run(["undrain", "cdg-1"])).toMatchObject({ code: 0, err: "cdg-1: already in routing\n" });
});

test("the last PoP that is routed is drained only after a yes", async () => {
  await using it = await fleet();
  const refused = await it.run(["drain", "cdg-1", "ewr-1"]);
  expect(refused.code).toBe(1);
  expect(refused.err).toMatch(
    /^No other PoP is in routing, so visitors would not reach any PoP\.\n.*--yes to confirm\.\n$/,
  );
  const no = await it.run(["drain", "cdg-1", "ewr-1"], { ask: async () => "n" });
  expect(no).toMatchObject({ code: 0, err: expect.stringContaining("Nothing was changed.") });
  expect(cordoned(it)["cdg-1"]?.cordoned).toBe(false);
  await on(it, "ewr-1", "cordon");
  expect((await it.run(["drain", "cdg-1", "--yes"])).code).toBe(0);
  expect(cordoned(it)["cdg-1"]?.cordoned).toBe(true);
});

test("undrain of one that does not serve leaves it out, says so, and routes the others", async () => {
  await using it = await fleet();
  await on(it, "cdg-1", "cordon");
  await on(it, "ewr-1", "cordon");
  it.local.runner.machine(it.machine("cdg-1").id, { check: failingCheck });
  await new Promise<void>((resolve) => it.local.clock.after(60_000, resolve));
  const { code, err } = await it.run(["undrain", "cdg-1", "ewr-1"]);
  expect(code).toBe(3);
  expect(err).toContain("ewr-1: healthy and in routing\n");
  expect(err).toMatch(/cdg-1: undrained, but it is not healthy/);
  expect(cordoned(it)).toMatchObject({ "cdg-1": { cordoned: true }, "ewr-1": { cordoned: false } });
});

test.each(["drain", "undrain"])("%s of a PoP that is not there is refused", async (verb) => {
  await using it = await fleet();
  expect(await it.run([verb, "nrt-1"])).toMatchObject({
    code: 1,
    err: expect.stringContaining("There is no PoP nrt-1."),
  });
});
