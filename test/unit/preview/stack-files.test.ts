import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { readEdgeConfig } from "../../../preview/stack-files.ts";
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
  expect(readEdgeConfig(dir, "prod")).toMatchObject({ protect: false, egressGb: 7, pops: [{ name: "cdg-1" }] });
});

test("merge keys are merged, as the engine does", () => {
  const dir = project(
    `  fly-pops:regions: { cdg: {} }
  fly-pops:sites:
    - &site { origin: "http://web:8080", cache: { maxAge: 10m }, host: a.example.test }
    - { <<: *site, host: b.example.test }
`,
  );
  expect(readEdgeConfig(dir, "prod").image.sites).toMatchObject([
    { host: "a.example.test", origins: ["http://web:8080"], cache: { maxAgeSeconds: 600 } },
    { host: "b.example.test", origins: ["http://web:8080"], cache: { maxAgeSeconds: 600 } },
  ]);
});

test("a stack without a file is a sentence that names those there are", () => {
  const dir = project("");
  expect(() => readEdgeConfig(dir, "porod")).toThrow(
    `Stack porod: there is no Pulumi.porod.yaml in ${dir}. Stacks with a file: prod.`,
  );
});

test("of another file that the environment names, the sentence has its name", () => {
  const dir = project("");
  expect(() => readStackFile(dir, "prod", { PULUMI_OPTION_CONFIG_FILE: "other.yaml" })).toThrow(
    `Stack prod: there is no other.yaml in ${dir}. Stacks with a file: prod.`,
  );
});
