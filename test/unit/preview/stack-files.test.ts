import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { stackFilePath } from "../../../lib/stack-file-path.ts";
import { envOfCheckouts, readEdgeConfig, readStackConfig } from "../../../preview/stack-files.ts";
import { readStackFile } from "../../../stack/stack-file.ts";

function project(config: string): string {
  const dir = mkdtempSync(join(tmpdir(), "fly-pops-preview-"));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  writeFileSync(join(dir, "Pulumi.yaml"), "name: fly-pops\nruntime: nodejs\n");
  writeFileSync(join(dir, "Pulumi.prod.yaml"), `config:\n  fly-pops:app: my-edge\n${config}`);
  return dir;
}

test("what pulumi config set writes as a text is what the program takes it for", () => {
  const dir = project(
    `  fly-pops:protect: "false"\n  fly-pops:egressGb: "7"\n  fly-pops:regions: '{"cdg":{}}'\n  fly-pops:sites: '[{"host":"www.example.org","origin":"http://web:8080"}]'\n`,
  );
  expect(readEdgeConfig(dir, "prod", {})).toMatchObject({ protect: false, egressGb: 7, pops: [{ name: "cdg-1" }] });
});

test("merge keys are merged, as the engine does", () => {
  const dir = project(
    `  fly-pops:regions: { cdg: {} }
  fly-pops:sites:
    - &site { origin: "http://web:8080", cache: { maxAge: 10m }, host: a.example.test }
    - { <<: *site, host: b.example.test }
`,
  );
  expect(readEdgeConfig(dir, "prod", {}).image.sites).toMatchObject([
    { host: "a.example.test", origins: ["http://web:8080"], cache: { maxAgeSeconds: 600 } },
    { host: "b.example.test", origins: ["http://web:8080"], cache: { maxAgeSeconds: 600 } },
  ]);
});

test("a stack without a file is a sentence that names those there are", () => {
  const dir = project("");
  expect(() => readEdgeConfig(dir, "porod", {})).toThrow(
    `Stack porod: there is no Pulumi.porod.yaml in ${dir}. Stacks with a file: prod.`,
  );
});

test("of another file that the environment names, the sentence has its name", () => {
  const dir = project("");
  expect(() => readStackFile(dir, "prod", { PULUMI_OPTION_CONFIG_FILE: "other.yaml" })).toThrow(
    `Stack prod: there is no other.yaml in ${dir}. Stacks with a file: prod.`,
  );
});

test("a preview reads the file that the environment names, also where the stack has none of its own", () => {
  const dir = project("  fly-pops:regions: { cdg: {} }\n  fly-pops:sites: [{ host: a.test, origin: 'http://web' }]\n");
  mkdirSync(join(dir, "stacks"));
  writeFileSync(
    join(dir, "stacks", "other.yaml"),
    "config:\n  fly-pops:app: other\n  fly-pops:regions: { nrt: {} }\n  fly-pops:sites: [{ host: b.test, origin: 'http://web' }]\n",
  );
  const env = { PULUMI_OPTION_CONFIG_FILE: "stacks/other.yaml" };
  expect(readEdgeConfig(dir, "prod", {})).toMatchObject({ app: "my-edge", pops: [{ name: "cdg-1" }] });
  for (const stack of ["prod", "new"]) {
    expect(readEdgeConfig(dir, stack, env)).toMatchObject({ app: "other", pops: [{ name: "nrt-1" }] });
    expect(readStackConfig(dir, stack, env)?.values).toMatchObject({ "fly-pops:app": "other" });
  }
  expect(readStackConfig(dir, "new", {})).toBeUndefined();
  expect(readStackConfig(dir, "prod", { PULUMI_OPTION_CONFIG_FILE: "none.yaml" })).toBeUndefined();
});

test("each checkout has its own version of a file within the project, and shares one outside of it", () => {
  const given = (path: string) => envOfCheckouts("/head", { PATH: "/bin", PULUMI_OPTION_CONFIG_FILE: path });
  const inBase = (path: string) => stackFilePath("/base", "acme/edge/prod", given(path));
  expect(inBase("/head/stacks/a.yaml")).toBe("/base/stacks/a.yaml");
  expect(inBase("stacks/a.yaml")).toBe("/base/stacks/a.yaml");
  expect(inBase("./..a.yaml")).toBe("/base/..a.yaml");
  expect(inBase("/elsewhere/a.yaml")).toBe("/elsewhere/a.yaml");
  expect(given("a.yaml")).toMatchObject({ PATH: "/bin" });
  expect(envOfCheckouts("/head", { PATH: "/bin" })).toEqual({ PATH: "/bin" });
  for (const env of [{}, { PULUMI_OPTION_CONFIG_FILE: "" }])
    expect(stackFilePath("/base", "acme/edge/prod", env)).toBe("/base/Pulumi.prod.yaml");
});
