import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "vitest";
import { failingCheck } from "../../local/fly/runners/state-runner.ts";
import { image } from "../support/context.ts";
import { engine, stack } from "../support/engine.ts";

test.concurrent("mistakes of the stack file come all at once, before any call", async ({ expect }) => {
  await using it = await engine();
  it.config(
    stack({
      regions: { cgd: {} },
      sites: [
        { host: "a.example", origin: "x" },
        { host: "a.example", files: "../up" },
      ],
    }),
  );
  const { code, output } = await it.up();
  expect(code).not.toBe(0);
  expect(output).toContain("regions.cgd: no such region; did you mean cdg?");
  expect(output).toContain("sites");
  expect(it.fly.calls.list).toEqual([]);
});

test.concurrent("mistakes of another file than the stack's own are reported under its name", async ({ expect }) => {
  await using it = await engine();
  it.config(stack({ regions: { cgd: {} } }));
  copyFileSync(it.stackFile, join(it.project, "other.yaml"));
  const { code, output } = await it.run(["preview"], { PULUMI_OPTION_CONFIG_FILE: "other.yaml" });
  expect(code).not.toBe(0);
  expect(output).toContain("other.yaml: ");
  expect(output).not.toContain("Pulumi.test.yaml");
});

test.concurrent("a date without quotes, which Pulumi's CLI writes otherwise, is understood", async ({ expect }) => {
  await using it = await engine();
  const secretId = { created: "2026-11-29", ends: "2026-11-28T12:00:00Z" };
  it.config(stack({ certificates: { vault: { address: "https://vault.test", secretId } } }));
  const { code, output } = await it.up();
  expect(code).not.toBe(0);
  expect(output).toContain(
    'certificates.vault.secretId.ends is "2026-11-28 12:00:00 +0000 UTC": must be after created, 2026-11-29 00:00:00 +0000 UTC.',
  );
});

test.concurrent("without a token the first call is refused with what to do", async ({ expect }) => {
  await using it = await engine();
  const { code, output } = await it.run(["up", "--yes", "--skip-preview"], { FLY_API_TOKEN: undefined });
  expect(code).not.toBe(0);
  expect(output).toContain("No Fly token for http://127.0.0.1:");
  expect(it.fly.calls.list).toEqual([]);
});

test.concurrent("a preview needs no token; with --debug it shows what the SDK says for debugging", async ({
  expect,
}) => {
  await using it = await engine();
  const { code, output } = await it.run(["preview", "--debug"], { FLY_API_TOKEN: undefined });
  expect(code, output).toBe(0);
  expect(output).toContain("debug: Registering resource:");
});

test.concurrent("a wrong token is named as such", async ({ expect }) => {
  await using it = await engine();
  const { code, output } = await it.run(["up", "--yes", "--skip-preview"], { FLY_API_TOKEN: "wrong-token-1" });
  expect(code).not.toBe(0);
  expect(output).toMatch(/\(401/);
  expect(output).not.toContain("wrong-token-1");
});

test.concurrent("an endpoint where nothing listens is named", async ({ expect }) => {
  await using it = await engine();
  const { code, output } = await it.run(["up", "--yes", "--skip-preview"], { FLY_API_HOSTNAME: "http://127.0.0.1:9" });
  expect(code).not.toBe(0);
  expect(output).toContain("nothing listens at http://127.0.0.1:9 (ECONNREFUSED)");
});

test.concurrent("a volume cannot shrink: said in the preview, nothing changes", async ({ expect }) => {
  await using it = await engine();
  it.config(stack({ regions: { cdg: { volumeGb: 5 }, ewr: {} } }));
  await it.up();
  it.mutations();
  it.config(stack());
  const { code, output } = await it.run(["preview"]);
  expect(code).not.toBe(0);
  expect(output).toContain("cdg-1: the volume has 5 GB and a volume cannot shrink, so volumeGb cannot become 3.");
  expect(it.mutations()).toEqual([]);
});

test.concurrent("a volume grows in place", async ({ expect }) => {
  await using it = await engine();
  await it.up();
  it.mutations();
  it.config(stack({ regions: { cdg: { volumeGb: 4 }, ewr: {} } }));
  const { code, output } = await it.up();
  expect(code, output).toBe(0);
  // And its machine boots again, as in any update, so that the file system grows too.
  expect(it.mutations()).toEqual([
    "PUT volumes/:id/extend",
    "POST machines/:id/lease",
    "POST machines/:id/cordon",
    "POST machines/:id",
    "POST machines/:id/uncordon",
    "DELETE machines/:id/lease",
  ]);
});

test.concurrent("a PoP whose volume would be deleted is protected with it: refused before anything is touched, then taken out by the way that the preview names", async ({
  expect,
}) => {
  await using it = await engine();
  it.config(stack({ protect: true }));
  await it.up();
  const before = it.machines();
  it.mutations();
  it.config(stack({ protect: true, regions: { cdg: {} } }));
  const { code, output } = await it.up();
  expect(code).not.toBe(0);
  expect(output).toMatch(/protect/);
  expect(it.mutations()).toEqual([]);
  expect(it.machines()).toEqual(before);

  const reported = await it.script(["preview/main.ts", "--stack", "test"]);
  expect(reported.code).toBe(1);
  expect(reported.output).toContain(
    "> ewr-1: it is protected, because its volume would be deleted with its identity and cache. To keep the volume on Fly, deploy fly-pops:keepVolumes: true first (npx pulumi up), then remove ewr-1. To delete it, deploy fly-pops:protect: false first.\n",
  );
  expect(reported.output).not.toContain("urn:pulumi");

  it.config(stack({ protect: true, keepVolumes: true }));
  expect((await it.up()).code).toBe(0);
  it.config(stack({ protect: true, keepVolumes: true, regions: { cdg: {} } }));
  const out = await it.up();
  expect(out.code, out.output).toBe(0);
  expect(it.mutations()).toEqual(["POST machines/:id/cordon", "POST machines/:id/stop", "DELETE machines/:id"]);
  expect(Object.values(it.fly.snapshot().volumes).filter(({ state }) => state === "created")).toHaveLength(2);
});

test.concurrent("with the defaults a replica, and a new region whose machine never came up, are taken out by one change", async ({
  expect,
}) => {
  await using it = await engine();
  const defaults = { protect: true, keepVolumes: true, rollout: { drain: 0, timeout: "10s" } };
  it.config(stack({ ...defaults, regions: { cdg: { replicas: 2 } } }));
  const first = await it.up();
  expect(first.code, first.output).toBe(0);
  it.config(stack({ ...defaults, regions: { cdg: {} } }));
  const less = await it.up();
  expect(less.code, less.output).toBe(0);
  const one = it.machines();
  expect(Object.keys(one)).toEqual(["cdg-1"]);

  it.runner.image(image(1), { check: failingCheck });
  it.config(stack({ ...defaults, regions: { cdg: {}, ewr: {} } }));
  const failed = await it.up();
  expect(failed.code).not.toBe(0);
  expect(failed.output).toContain("ewr-1: ");
  it.config(stack({ ...defaults, regions: { cdg: {} } }));
  const reverted = await it.up();
  expect(reverted.code, reverted.output).toBe(0);
  expect(it.machines()).toEqual(one);
});

test.concurrent("a protected address stays when it is taken out of the file, when the app gets another name, and at destroy; lifted first, both go", async ({
  expect,
}) => {
  await using it = await engine();
  const addresses = () =>
    it.fly
      .snapshot()
      .addresses.map(({ type }) => type)
      .toSorted();
  it.config(stack({ protect: true }));
  await it.up();
  it.config(stack({ protect: true, addresses: ["v6"] }));
  const refused = await it.up();
  expect(refused.code).not.toBe(0);
  expect(refused.output).toMatch(/edge-v4.*protect|protect.*edge-v4/s);
  // Under another name the app would take all of them along.
  it.config(stack({ protect: true, app: "new-edge" }));
  const renamed = await it.run(["preview"]);
  expect(renamed.code).not.toBe(0);
  expect(renamed.output).toMatch(/edge-app.*protect|protect.*edge-app/s);
  const destroyed = await it.run(["destroy", "--yes", "--skip-preview"]);
  expect(destroyed.code).not.toBe(0);
  expect(addresses()).toEqual(["v4", "v6"]);
  it.config(stack({ protect: false }));
  const lifted = await it.up();
  expect(lifted.code, lifted.output).toBe(0);
  const gone = await it.run(["destroy", "--yes", "--skip-preview"]);
  expect(gone.code, gone.output).toBe(0);
  expect(addresses()).toEqual([]);
});

test.concurrent("a volume that is to be kept stays on Fly, and its PoP finds it again", async ({ expect }) => {
  await using it = await engine();
  const kept = { protect: true, keepVolumes: true };
  it.config(stack(kept));
  await it.up();
  const before = it.fly.snapshot().volumes;
  it.config(stack({ ...kept, regions: { cdg: {} } }));
  const less = await it.up();
  expect(less.code, less.output).toBe(0);
  expect(Object.keys(it.machines())).toEqual(["cdg-1"]);
  it.config(stack(kept));
  const again = await it.up();
  expect(again.code, again.output).toBe(0);
  expect(Object.keys(it.fly.snapshot().volumes).toSorted()).toEqual(Object.keys(before).toSorted());
});
