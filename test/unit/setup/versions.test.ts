import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { dockerPluginVersion, pulumiVersion } from "../../../setup/paths.mjs";

const root = join(import.meta.dirname, "../../..");

test("the CLI, its Go modules and the SDK are one version", () => {
  const goMod = readFileSync(join(root, "setup/go/go.mod"), "utf8");
  expect(goMod).toContain(`github.com/pulumi/pulumi/pkg/v3 v${pulumiVersion}\n`);
  expect(goMod).toContain(`github.com/pulumi/pulumi/sdk/v3 v${pulumiVersion}\n`);
  const installed = (name: string): string =>
    JSON.parse(readFileSync(join(root, "node_modules", name, "package.json"), "utf8")).version;
  expect(installed("@pulumi/pulumi")).toBe(pulumiVersion);
  expect(installed("@pulumi/docker")).toBe(dockerPluginVersion);
});

test("setup uses Node's own modules only: it runs before npm has brought any", () => {
  const files = execFileSync("find", [join(root, "setup"), "-maxdepth", "1", "-name", "*.mjs"], { encoding: "utf8" })
    .trim()
    .split("\n");
  const imported = files.flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/ from "([^"]+)"/g)].map((match) => match[1]),
  );
  expect(imported.length).toBeGreaterThan(20);
  expect(imported.filter((it) => !/^(node:|\.\/)/.test(it ?? ""))).toEqual([]);
});

test.each([[["--only", "pulumni"]], [["--fast"]]])("main.mjs refuses %j in one sentence, exit code 1", (args) => {
  const { status, stderr } = spawnSync(process.execPath, [join(root, "setup/main.mjs"), ...args], { encoding: "utf8" });
  expect(status).toBe(1);
  expect(stderr).toBe(
    `setup: arguments "${args.join(" ")}": not understood. Give none, or --only and some of npm,pulumi,sops,docker,browser.\n`,
  );
});
