import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "vitest";
import { engine, stack } from "../support/engine.ts";

const policies = ["--policy-pack", "policy"];

test.concurrent("a production stack that keeps to the policies passes, in the preview and for good", async ({
  expect,
}) => {
  await using it = await engine({ stack: "prod" });
  // Volumes that are kept need no protection.
  const kept = { protect: true, keepVolumes: true };
  it.config(stack({ ...kept, regions: { cdg: {}, ewr: {}, fra: {} } }));
  const { code, output } = await it.run(["up", "--yes", ...policies]);
  expect(code, output).toBe(0);
  expect(output).toContain("fly-pops");
  expect(output).not.toMatch(/mandatory|can't run policy/);

  // And a region is taken out by one change.
  it.config(stack(kept));
  const less = await it.run(["up", "--yes", ...policies]);
  expect(less.code, less.output).toBe(0);
  expect(less.output).not.toContain("mandatory");
  expect(Object.keys(it.machines()).toSorted()).toEqual(["cdg-1", "ewr-1"]);
});

test.concurrent("one that does not is refused with all reasons before anything is made", async ({ expect }) => {
  await using it = await engine({ stack: "prod" });
  it.config(stack({ regions: { cdg: {} } }));
  const { code, output } = await it.run(["up", "--yes", ...policies]);
  expect(code, output).not.toBe(0);
  expect(output).toContain("cdg-1: its volume is neither protected nor kept, and this is a production stack");
  expect(output).toContain("v4: the address is not protected, and this is a production stack");
  expect(output).toContain("my-edge: the app is not protected, and this is a production stack");
  expect(output).toContain("Stack prod has PoPs in cdg only, and this is a production stack.");
  expect(it.mutations()).toEqual([]);
});

test.concurrent("a program that fails is not shown as passed, and production is what the stack file says", async ({
  expect,
}) => {
  await using it = await engine();
  // A link would lead the pack to the project it comes from.
  const own = join(it.project, "policy");
  rmSync(own);
  cpSync(join(import.meta.dirname, "..", "..", "policy"), own, { recursive: true });
  it.config(stack({ memoryMB: 256 }));
  const failed = await it.run(["preview", ...policies]);
  expect(failed.code, failed.output).not.toBe(0);
  expect(failed.output).toContain("Nothing was checked, because the stack file has errors: memoryMB: unknown key");
  expect(failed.output).not.toContain("✅");
  it.config(stack({ secretsFile: "none.yaml", certificates: { vault: { address: "https://vault.example" } } }));
  const unread = await it.run(["preview", ...policies]);
  expect(unread.code, unread.output).not.toBe(0);
  expect(unread.output).toContain(
    'Nothing was checked, because the stack file has errors: secretsFile is "none.yaml", but this file does not exist',
  );
  expect(unread.output).not.toContain("✅");
  it.config(stack({ regions: { cdg: {} }, production: true }));
  const production = await it.run(["preview", ...policies]);
  expect(production.code, production.output).not.toBe(0);
  expect(production.output).toContain("Stack test has PoPs in cdg only, and this is a production stack.");
});

test.concurrent("what is for production is not asked of other stacks", async ({ expect }) => {
  await using it = await engine();
  it.config(stack({ regions: { cdg: {} } }));
  const { code, output } = await it.run(["preview", ...policies]);
  expect(code, output).toBe(0);
});
