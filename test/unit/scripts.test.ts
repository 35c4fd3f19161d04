import { expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import measured from "../../tools/times/measured.json" with { type: "json" };
import { isThere } from "../../tools/times/times.ts";

// A shell remembers where it found `node` the first time. In a fresh clone that is the system's, and stays so after setup has brought ours.
test.each(Object.entries(manifest.scripts).filter(([, script]) => script.includes("setup/main.mjs &&")))(
  "what %s runs after setup is not the node that ran setup",
  (_, script) => {
    for (const part of script.split("&&").slice(1)) expect(part.trim()).not.toMatch(/^node\s/);
  },
);

test("times are of test files that exist", () => {
  expect(Object.keys(measured).filter((file) => !isThere(file))).toEqual([]);
});
