/**
 * Replacements that no inputs ask for: `--replace` and taint. The engine then creates before it deletes, whatever a kind says, and a create that
 * finds what is there gives it the object which it deletes next.
 */
import { type ExpectStatic, test } from "vitest";
import { type Engine, engine, fleetState, stack } from "../support/engine.ts";
import { createSopsUser } from "../support/sops-user.ts";
import { planted, tailscaleApi } from "../support/tailscale-api.ts";

/** What must be the same before and after. */
const stateOnFly = (it: Engine) => ({
  ...fleetState(it),
  machines: Object.fromEntries(
    Object.entries(it.machines()).map(([name, { id, state, cordoned }]) => [name, { id, state, cordoned }]),
  ),
});

/** A stack that has every kind, and whose PoPs joined the tailnet. */
async function everyKind(expect: ExpectStatic) {
  const desk = createSopsUser();
  const api = await tailscaleApi({ now: Date.now });
  const it = await engine({
    files: { "secrets.yaml": await desk.seal({ vaultRoleId: "planted-role", vaultSecretId: "planted-secret" }) },
    env: {
      ...desk.env,
      HOME: process.env.HOME,
      TAILSCALE_BASE_URL: api.url,
      TAILSCALE_OAUTH_CLIENT_ID: "client1",
      TAILSCALE_OAUTH_CLIENT_SECRET: planted.clientSecret,
    },
  });
  const values = (over: Record<string, unknown> = {}) =>
    stack({
      secretsFile: "./secrets.yaml",
      certificates: { vault: { address: "https://vault.tail.example:8200" } },
      tailnet: { domain: "tail.example", controlPlane: "tailscale" },
      ...over,
    });
  it.config(values());
  const up = await it.up();
  expect(up.code, up.output).toBe(0);
  for (const pop of ["cdg-1", "ewr-1"]) api.joined(`node${pop.slice(0, 3)}`, `pop-${pop}`);
  return {
    it,
    api,
    values,
    [Symbol.asyncDispose]: async () => {
      await it[Symbol.asyncDispose]();
      desk[Symbol.dispose]();
    },
  };
}

const kinds = ["app", "v4", "v6", "cdg-1-volume", "cdg-1-identity", "cdg-1-secrets", "cdg-1-auth-key", "cdg-1-machine"];

/** URNs of the edge's own resources, by the end of their names. */
function urns(it: Engine): Record<string, string> {
  const { resources } = JSON.parse(it.state()).checkpoint.latest as { resources: { urn: string; delete?: boolean }[] };
  return Object.fromEntries(
    resources.map(({ urn }) => [
      urn
        .split("::")
        .at(-1)
        ?.replace(/^edge-/, ""),
      urn,
    ]),
  );
}

/** State has each resource once, and nothing is to be done. */
async function settled(it: Engine, expect: ExpectStatic) {
  expect(it.state()).not.toMatch(/"delete": true|pendingReplacement|"taint": true/);
  it.mutations();
  const again = await it.run(["up", "--yes", "--skip-preview", "--expect-no-changes"]);
  expect(again.code, again.output).toBe(0);
  expect(it.mutations()).toEqual([]);
}

test("--replace of every kind, then taint of every kind: the same objects serve, no address is released", async ({
  expect,
}) => {
  await using all = await everyKind(expect);
  const { it, api } = all;
  const before = stateOnFly(it);
  const named = urns(it);
  const targets = kinds.map((kind) => named[kind] ?? expect.fail(`no ${kind} in state`));
  it.mutations();

  const replaced = await it.run(["up", "--yes", "--skip-preview", ...targets.flatMap((urn) => ["--replace", urn])]);
  expect(replaced.code, replaced.output).toBe(0);
  expect(stateOnFly(it)).toEqual(before);
  expect([...api.devices.keys()].toSorted()).toEqual(["nodecdg", "nodeewr"]);
  const destroys = (routes: string[]) => routes.filter((route) => route.startsWith("DELETE") && !/lease/.test(route));
  expect(destroys(it.mutations())).toEqual([]);
  await settled(it, expect);

  const tainted = await it.run(["state", "taint", "--yes", ...targets]);
  expect(tainted.code, tainted.output).toBe(0);
  const up = await it.up();
  expect(up.code, up.output).toBe(0);
  expect(stateOnFly(it)).toEqual(before);
  expect([...api.devices.keys()].toSorted()).toEqual(["nodecdg", "nodeewr"]);
  expect(destroys(it.mutations())).toEqual([]);
  await settled(it, expect);
});

test.concurrent("a resource renamed in state is found by the program's, and its other record takes nothing along", async ({
  expect,
}) => {
  await using it = await engine();
  expect((await it.up()).code).toBe(0);
  const before = stateOnFly(it);
  const named = urns(it);
  for (const name of ["v4", "cdg-1-machine"]) {
    const renamed = await it.run(["state", "rename", "--yes", named[name] ?? "", `edge-${name}-old`]);
    expect(renamed.code, renamed.output).toBe(0);
  }
  const up = await it.up();
  expect(up.code, up.output).toBe(0);
  expect(stateOnFly(it)).toEqual(before);
  await settled(it, expect);
});
