import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

const own = "Pulumi.prod.yaml";
const withToken = "config:\n  fly:token: { secure: v1:planted }\n";
const withoutToken = "config:\n  fly-pops:app: my-edge\n";
let dir: string;

beforeEach(() => {
  vi.resetModules();
  dir = mkdtempSync(join(tmpdir(), "fly-pops-current-config-"));
  // Pulumi's CLI, as it prints the values of the file that it reads.
  const cli = `#!/bin/sh\necho '{"fly:token":{"value":"of-'\${PULUMI_OPTION_CONFIG_FILE:-own}'","secret":true}}'\n`;
  writeFileSync(join(dir, "pulumi"), cli);
  chmodSync(join(dir, "pulumi"), 0o755);
  vi.stubEnv("PATH", `${dir}${delimiter}${process.env.PATH}`);
  vi.stubEnv("PULUMI_OPTION_CONFIG_FILE", undefined);
  vi.spyOn(process, "cwd").mockReturnValue(dir);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  rmSync(dir, { recursive: true });
});

/** The token without a program, as in `refresh` and `destroy`. */
async function token(files: Record<string, string>, deployed?: string): Promise<string | undefined> {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  if (deployed !== undefined) vi.stubEnv("PULUMI_OPTION_CONFIG_FILE", deployed);
  const { currentConfig, noteUrn } = await import("../../providers/current-config.ts");
  noteUrn("urn:pulumi:prod::fly-pops::pulumi:pulumi:Stack::fly-pops-prod");
  return (await currentConfig((key) => `${key} of state`))("fly:token");
}

test("without a program the stack's own file is read", async () => {
  expect(await token({ [own]: withToken })).toBe("of-own");
});

test("the file that the environment names is read in place of the stack's own", async () => {
  expect(await token({ [own]: withoutToken, "other.yaml": withToken }, "other.yaml")).toBe("of-other.yaml");
});

test("a file without credentials needs no CLI, whatever the stack's own has", async () => {
  expect(await token({ [own]: withToken, "other.yaml": withoutToken }, "other.yaml")).toBeUndefined();
});

test("if the file does not exist, the configuration of the state counts", async () => {
  expect(await token({ [own]: withToken }, "none.yaml")).toBe("fly:token of state");
});
