import { test } from "vitest";
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

test.concurrent("an endpoint where nobody listens is named", async ({ expect }) => {
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
  expect(output).toContain("cdg-1: the volume has 5 GB and a volume never shrinks, so volumeGb cannot become 3.");
  expect(it.mutations()).toEqual([]);
});

test.concurrent("a volume grows in place", async ({ expect }) => {
  await using it = await engine();
  await it.up();
  it.mutations();
  it.config(stack({ regions: { cdg: { volumeGb: 4 }, ewr: {} } }));
  const { code, output } = await it.up();
  expect(code, output).toBe(0);
  // And its machine boots anew, as any update, so that the file system grows too.
  expect(it.mutations()).toEqual([
    "PUT volumes/:id/extend",
    "POST machines/:id/lease",
    "POST machines/:id/cordon",
    "POST machines/:id",
    "POST machines/:id/uncordon",
    "DELETE machines/:id/lease",
  ]);
});

test.concurrent("a protected volume stays when its region is taken out", async ({ expect }) => {
  await using it = await engine();
  it.config(stack({ protect: true }));
  await it.up();
  it.config(stack({ protect: true, regions: { cdg: {} } }));
  const { code, output } = await it.up();
  expect(code).not.toBe(0);
  expect(output).toMatch(/protect/);
  expect(Object.values(it.fly.snapshot().volumes).filter(({ state }) => state === "created")).toHaveLength(2);
});

test.concurrent("a protected address stays when it is taken out of the file, and at destroy; lifted first, both go", async ({
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
  const kept = { keepVolumes: true };
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
