import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { machineConfig } from "../../../components/machine-config.ts";
import { readStackFiles } from "../../../config/files.ts";
import { enc, sopsText } from "../../support/sealing.ts";
import { spec } from "../image/render/spec.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "config-secrets-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

const all = { collectorToken: "c", tailscaleAuthKey: "t", vaultRoleId: "r", vaultSecretId: "s" };
function file(text: string): string {
  const path = join(dir, "secrets.yaml");
  writeFileSync(path, text);
  return path;
}
const { tailnet: _, certificates: __, ...bare } = spec;
const nothing = { ...bare, luggage: {} };

test("only the keys that the image asks for are taken from the file, unchanged", () => {
  const secretsFile = file(sopsText({ ...all, other: "x" }, ["age1me"]));
  expect(readStackFiles({ secretsFile, image: spec })).toEqual({
    secrets: {
      file: secretsFile,
      ciphertexts: Object.fromEntries(Object.entries(all).map(([key, value]) => [key, enc(value)])),
    },
  });
});

test("a secrets file that no component uses is not read", () => {
  expect(readStackFiles({ secretsFile: join(dir, "nowhere.yaml"), image: nothing })).toEqual({});
});

test.each<[string, string | undefined, RegExp]>([
  [
    "is not there",
    undefined,
    /secretsFile is "\S+", but this file does not exist\. Create it with: npx fly-pops secrets edit\. The image needs these keys from it: collectorToken, tailscaleAuthKey, vaultRoleId, vaultSecretId\.$/,
  ],
  ["is plain", "vaultRoleId: hunter2", /secretsFile: \S+ is not encrypted: /],
  [
    "lacks keys",
    sopsText({ vaultRoleId: "r" }, ["age1me"]),
    /has no collectorToken, tailscaleAuthKey, vaultSecretId: add them with /,
  ],
  [
    "has one plain",
    `${sopsText({ ...all }, ["age1me"]).replace(enc("s"), "hunter2")}`,
    /has a vaultSecretId that is not an encrypted text: write it in quotes/,
  ],
])("a file that %s: one mistake, before anything is made", (_, text, expected) => {
  const act = () =>
    readStackFiles({ secretsFile: text === undefined ? join(dir, "no.yaml") : file(text), image: spec });
  expect(act).toThrow(/^1 error in the stack's configuration\. Nothing was changed\.\n/);
  expect(act).toThrow(expected);
  expect(act).not.toThrow("hunter2");
});

test("the CA bundle of a control server is read if keys are requested from it, and only then", () => {
  const tailnet = { domain: "a.test", tags: ["pop"], hostPrefix: "", loginServer: "https://l.test", ca: "no-such.pem" };
  expect(
    readStackFiles({ image: { ...nothing, tailnet }, secretsFile: file(sopsText(all, ["age1me"])) }),
  ).not.toHaveProperty("tailnetCa");
  expect(() => readStackFiles({ image: { ...nothing, tailnet: { ...tailnet, controlPlane: "headscale" } } })).toThrow(
    /tailnet\.ca: no-such\.pem is not a file/,
  );
});

test("what was sealed is among the machine's files, for root alone; a stack without secrets has none", () => {
  const pop = { name: "cdg-1", cpuKind: "shared" as const, cpus: 1, memoryMb: 256, volumeGb: 3 };
  expect(machineConfig(pop, "image", { secrets: "YQ==", tailnet: "Yg==" }).files).toEqual([
    { guest_path: "/etc/pop/sealed.yaml", raw_value: "YQ==", mode: 256 },
    { guest_path: "/etc/pop/sealed-tailnet.yaml", raw_value: "Yg==", mode: 256 },
  ]);
  expect(machineConfig(pop, "image", { tailnet: "Yg==" }).files).toHaveLength(1);
  expect(machineConfig(pop, "image")).not.toHaveProperty("files");
});
