/** Which stack file counts while there is no homelab behind the PoPs, and which commands get it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, afterEach, expect, test } from "vitest";
import { parse } from "yaml";
import { paths, projectDir } from "../../../local/paths.ts";
import { localEnvironment } from "../../../local/stack/environment.ts";
import { appName, firstStage, stackConfig } from "../../../local/stack/stack-file.ts";
import { movePaths } from "../../support/local-paths.ts";

const dir = mkdtempSync(join(tmpdir(), "fly-pops-stack-file-"));
const restore = movePaths({ firstStage: join(dir, "Pulumi.local.yaml"), daemon: join(dir, "none") });
afterEach(() => rmSync(paths.firstStage, { force: true }));
afterAll(() => {
  restore();
  rmSync(dir, { recursive: true });
});

const fileOf = async (command?: string) => (await localEnvironment(command)).PULUMI_OPTION_CONFIG_FILE;

test("what is derived for the first page is a stack file without the homelab", () => {
  const { config } = parse(firstStage() ?? "") as { config: Record<string, unknown> };
  expect(config).toHaveProperty("fly-pops:sites");
  expect(config).not.toHaveProperty("fly-pops:tailnet");
});

test("as long as it is there, it counts", async () => {
  expect(appName()).toBe("fly-pops-local");
  expect(await fileOf("up")).toBeUndefined();
  writeFileSync(paths.firstStage, (firstStage() ?? "").replace("fly-pops-local", "derived"));
  expect(appName()).toBe("derived");
  expect(await fileOf()).toBe(paths.firstStage);
  expect(await fileOf("up")).toBe(paths.firstStage);
});

test("the CLI's `config` reads and changes Pulumi.local.yaml: the next start writes the other one again", async () => {
  writeFileSync(paths.firstStage, firstStage() ?? "");
  expect(await fileOf("config")).toBeUndefined();
});

test("an error names the file it was read from", () => {
  writeFileSync(paths.firstStage, "config: {fly-pops:app: 7}\n");
  expect(() => stackConfig()).toThrow(`${relative(projectDir, paths.firstStage)}: `);
});
