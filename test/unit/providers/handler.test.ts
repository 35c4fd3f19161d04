import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { replacementKeys, requiresUpdate } from "../../../providers/handler.ts";
import { providerSource, type ResourceType } from "../../../providers/resource.ts";

const lifecycle = { app: "replace", size: "update", note: "ignored" } as const;
const state = { app: "a", size: { gb: 1 }, note: "n" };

test("only what is bound to the object replaces it", () => {
  expect(replacementKeys(lifecycle, state, { app: "b", size: { gb: 2 }, note: "m" })).toEqual(["app"]);
  expect(replacementKeys(lifecycle, state, { ...state, size: { gb: 2 } })).toEqual([]);
});

test("a change of what is ignored makes no call", () => {
  expect(requiresUpdate(lifecycle, state, { ...state, note: "m" })).toBe(false);
  expect(requiresUpdate(lifecycle, state, { ...state, size: { gb: 2 } })).toBe(true);
  expect(requiresUpdate(lifecycle, state, structuredClone(state))).toBe(false);
});

test.each<ResourceType>(["App", "Address", "Volume", "Machine"])(
  "the provider text of %s is the one in every state there is",
  (kind) => {
    expect(providerSource(kind)).toBe(`exports.handler=()=>require("./providers/host.ts").handler("${kind}")`);
    expect(Buffer.byteLength(providerSource(kind))).toBeLessThan(120);
  },
);

test("an error of one resource does not speak for the whole run: only an app, which comes first, and who has no token yet may say that nothing was changed", () => {
  const root = join(import.meta.dirname, "../../..");
  const says = globSync("{lib,fly,sops,tailnet,providers}/**/*.ts", { cwd: root }).filter((file) =>
    /nothing (was |is )?changed(?! there)/i.test(readFileSync(join(root, file), "utf8")),
  );
  // The operator's own commands on a secrets file stand alone.
  expect(says.toSorted()).toEqual(["fly/settings.ts", "providers/fly/app.ts", "sops/secrets-file.ts"]);
});
