import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkStackFile } from "../../../../cli/check/stack-file.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "fly-pops-check-"));
  mkdirSync(join(dir, "public"));
  writeFileSync(join(dir, "public", "index.html"), "hello");
  writeFileSync(join(dir, "key.pem"), "-----BEGIN PRIVATE KEY-----\n");
});
afterAll(() => rmSync(dir, { recursive: true }));

const good = `# production
encryptionsalt: v1:abc
config:
  fly:token:
    secure: v1:abc
  fly-pops:app: my-edge
  fly-pops:regions:
    cdg: { volumeGb: 3 }
    ewr: {}

  fly-pops:sites:
    - host: www.example.org
      origin: https://origin.example
    - host: files.example.org
      files: ./public
`;

const check = (text: string, file = "Pulumi.edge.yaml") => checkStackFile(file, text, dir);
/** Without the words, which the tests of the configuration have. */
const places = (text: string) =>
  check(text).map(({ line, column, key, severity }) => `${line}:${column} ${severity} ${key}`);

test("a good file has no findings", () => {
  expect(check(good)).toEqual([]);
});

test("every mistake has its key, its line and its sentence, all at once", () => {
  const text = good
    .replace("{ volumeGb: 3 }", "{ volumeGb: 900 }")
    .replace("    ewr: {}", "    ewr:\n      memoryMB: 256")
    .replace("host: files", "hots: files");
  expect(check(text)).toEqual([
    {
      ...{ file: "Pulumi.edge.yaml", line: 8, column: 12, key: "fly-pops:regions.cdg.volumeGb", severity: "error" },
      message: "regions.cdg.volumeGb is 900: expected a whole number of GB from 1 to 500.",
    },
    {
      ...{ file: "Pulumi.edge.yaml", line: 10, column: 7, key: "fly-pops:regions.ewr.memoryMB", severity: "error" },
      message: expect.stringMatching(/^regions\.ewr\.memoryMB: unknown key; did you mean memoryMb\?/),
    },
    {
      ...{ file: "Pulumi.edge.yaml", line: 15, column: 7, key: "fly-pops:sites[1].hots", severity: "error" },
      message: expect.stringMatching(/^sites\[1\]\.hots: unknown key; did you mean host\?/),
    },
  ]);
});

test.each<[string, (text: string) => string, string[]]>([
  [
    "a key that is missing: at the nearest one above",
    (it) => it.replace("  fly-pops:app: my-edge\n", ""),
    ["3:1 error fly-pops:app"],
  ],
  [
    "a value that is JSON in a text, as `pulumi config set` writes it",
    (it) => it.replace("fly-pops:app: my-edge", `fly-pops:app: my-edge\n  fly-pops:rollout: '{"timeout":"1x"}'`),
    ["7:3 error fly-pops:rollout.timeout"],
  ],
  [
    "a directory that is not there",
    (it) => it.replace("./public", "./nowhere"),
    ["15:7 error fly-pops:sites[1].files"],
  ],
  [
    "a file of secrets that is not there",
    (it) =>
      `${it}  fly-pops:secretsFile: ./no.yaml\n  fly-pops:certificates: { vault: { address: https://vault.example:8200 } }\n`,
    ["16:3 error fly-pops:secretsFile"],
  ],
  ["a key without a namespace", (it) => it.replace("fly-pops:app", "app"), ["3:1 error fly-pops:app", "6:3 error app"]],
  [
    "a namespace that nothing reads",
    (it) => it.replace("fly-pops:sites", "flypops:sites"),
    ["3:1 error fly-pops:sites", "11:3 error flypops:sites"],
  ],
  [
    "a secret that is one of ours",
    (it) => it.replace("fly-pops:app: my-edge", "fly-pops:app: { secure: v1:x }"),
    ["6:3 error fly-pops:app"],
  ],
  ["invalid YAML", (it) => it.replace("{ volumeGb: 3 }", "{ volumeGb: 3"), ["9:5 error "]],
  ["the same key twice", (it) => `${it}  fly-pops:app: other\n`, ["16:3 error "]],
  ["config that is not a map", () => "config: []\n", ["1:1 error config"]],
  ["an empty file", () => "", ["1:1 error fly-pops:app", "1:1 error fly-pops:regions"]],
])("%s", (_, change, wanted) => {
  expect(places(change(good)).slice(0, wanted.length)).toEqual(wanted);
});

test("a token in clear text is reported, and not shown", () => {
  const findings = check(good.replace("fly:token:\n    secure: v1:abc", "fly:token: planted-token-123"));
  expect(findings).toMatchObject([{ line: 4, key: "fly:token", severity: "error" }]);
  expect(JSON.stringify(findings)).not.toContain("planted-token-123");
});

test("each invalid file of the user is reported", () => {
  const text = good
    .replace("origin: https://origin.example", "origin: https://origin.example\n      tls: { ca: ./key.pem }")
    .replace("./public", "./nowhere");
  expect(check(text).map(({ line, message }) => `${line} ${message.split(" (")[0]}`)).toEqual([
    "14 site www.example.org: tls.ca: key.pem holds a private key, which the image would expose.",
    "16 site files.example.org: files: nowhere is not a directory",
  ]);
});

test("with an image of the operator's own nothing is packed", () => {
  const ref = `registry.example/pop@sha256:${"0".repeat(64)}`;
  expect(check(`${good.replace("./public", "./nowhere")}  fly-pops:imageRef: ${ref}\n`)).toEqual([]);
});

test("what is allowed and should not be is a warning, by the name of the stack", () => {
  const alone = good.replace("    ewr: {}\n", "");
  expect(check(alone)).toEqual([]);
  expect(check(alone, "deploy/Pulumi.prod.yaml")).toMatchObject([
    {
      file: "deploy/Pulumi.prod.yaml",
      line: 7,
      severity: "warning",
      message: expect.stringContaining("one region only"),
    },
  ]);
});
