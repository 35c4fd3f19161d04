import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { test } from "vitest";
import { parse } from "yaml";
import { engine } from "../support/engine.ts";

const root = join(import.meta.dirname, "..", "..");

test("pulumi new asks for app, organization, regions and first site, and leaves a stack that works", async ({
  expect,
}) => {
  await using it = await engine();
  // A clean clone: what git knows, and nothing that was made from it.
  const template = join(it.project, "..", "clone");
  const files = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root });
  for (const file of files
    .toString()
    .split("\0")
    .filter((path) => path !== "" && existsSync(join(root, path)))) {
    mkdirSync(dirname(join(template, file)), { recursive: true });
    copyFileSync(join(root, file), join(template, file));
  }
  // Without a registry: npm is asked for, and the packages that are here already stand for what it would bring.
  const bin = join(it.project, "..", "bin");
  mkdirSync(bin);
  const npm = `#!/bin/sh\necho "$1 in $PWD" >> "${bin}/calls"\nln -sfn "${root}/node_modules" node_modules\n`;
  writeFileSync(join(bin, "npm"), npm);
  chmodSync(join(bin, "npm"), 0o755);

  const dir = join(it.project, "..", "mine");
  mkdirSync(dir);
  const answers = {
    app: "my-edge-7",
    organization: "home",
    regions: '{"fra": {}, "ewr": {"memoryMb": 512}}',
    sites: '[{"host": "www.example.org", "origin": "https://web.example.org"}]',
  };
  const flags = Object.entries(answers).flatMap(([key, value]) => ["--config", `${key}=${value}`]);
  // A backend of its own: one that knows a project of this name is not given a second.
  const backend = join(it.project, "..", "new-backend");
  mkdirSync(backend);
  const env = { PATH: [bin, it.path].join(delimiter), PULUMI_BACKEND_URL: `file://${backend}` };
  const made = await it.command(
    "pulumi",
    ["--non-interactive", "new", template, "--dir", dir, "--yes", "--stack", "edge", ...flags],
    env,
  );
  expect(made, made.output).toMatchObject({ code: 0 });
  expect(made.output).toContain("Your new project is ready to go!");
  expect(made.output).toContain("npx pulumi preview");
  expect(readFileSync(join(bin, "calls"), "utf8")).toContain(`install in ${dir}\n`);

  const { config } = parse(readFileSync(join(dir, "Pulumi.edge.yaml"), "utf8"));
  expect(config).toEqual(Object.fromEntries(Object.entries(answers).map(([key, value]) => [`fly-pops:${key}`, value])));
  const project = parse(readFileSync(join(dir, "Pulumi.yaml"), "utf8"));
  expect(project).toMatchObject({ name: "fly-pops", main: "index.ts" });
  expect(project.template).toBeUndefined();

  const preview = await it.command("node", ["preview/main.ts", "--stack", "edge", "--json"], env, dir);
  expect(preview, preview.output).toMatchObject({ code: 0 });
  const { pops, after } = JSON.parse(preview.output);
  expect(pops.map(({ name, action }: { name: string; action: string }) => [name, action]).toSorted()).toEqual([
    ["ewr-1", "new"],
    ["fra-1", "new"],
  ]);
  expect(after.monthly.machines).toBe(5.43);
});

test("its questions are keys of a stack file, and the answers offered for them make a valid one", async ({
  expect,
}) => {
  const { template } = parse(readFileSync(join(root, "Pulumi.yaml"), "utf8"));
  const offered = Object.entries(template.config as Record<string, { description: string; default: string }>);
  expect(offered.map(([key]) => key)).toEqual(["app", "organization", "regions", "sites"]);
  const { parseConfig } = await import("../../config/parse.ts");
  const values = offered.map(([key, it]) => [
    key,
    it.default.startsWith("{") || it.default.startsWith("[") ? JSON.parse(it.default) : it.default,
  ]);
  expect(parseConfig(Object.fromEntries(values)).pops.map(({ name }) => name)).toEqual(["cdg-1", "ewr-1"]);
});
