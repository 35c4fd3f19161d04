import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fromVendor, programName, sopsVersion } from "../../../setup/sops.mjs";
import { pinnedSum } from "../../../setup/sums.mjs";
import { httpServer } from "../../support/http-server.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "setup-sops-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
const bring = (url: string, sum: string) =>
  fromVendor(join(dir, "sops"), { url, sum, say: () => undefined, limits: { answer: 2000, silence: 2000 } });
const saying = (version: string) => `#!/bin/sh\necho sops ${version}\n`;

test("only go.mod has the version, which supports SSH keys", () => {
  expect(sopsVersion).toMatch(/^3\.(1[0-9]|[2-9]\d)\.\d+$/);
});

test("programs are named as the vendor names them", () => {
  expect(programName("3.13.2", "linux", "x64")).toBe("sops-v3.13.2.linux.amd64");
  expect(programName("3.13.2", "darwin", "arm64")).toBe("sops-v3.13.2.darwin.arm64");
});

test("the vendor's program ends up in its place, and can be run", async () => {
  const { url } = await httpServer(() => ({ body: saying("3.13.2") }));
  expect(await bring(url, sha256(saying("3.13.2")))).toBeUndefined();
  expect(readFileSync(join(dir, "sops"), "utf8")).toBe(saying("3.13.2"));
});

test.each([
  ["refuses", { status: 404 }, /^status 404$/],
  ["sends something else", { body: "<html>" }, /^the download is not sops$/],
  ["sends an old one", { body: saying("3.9.4") }, /^the download is not sops$/],
])("a vendor that %s: a reason, and nothing half-made", async (_, answer, reason) => {
  const { url } = await httpServer(() => answer);
  const body = "body" in answer ? answer.body : "";
  expect(await bring(url, sha256(body))).toMatch(reason);
  expect(existsSync(join(dir, "sops"))).toBe(false);
});

test("a program with another sum than the published one is not run, not kept, and ends setup in a sentence", async () => {
  const planted = `#!/bin/sh\ntouch ${join(dir, "planted")}\n`;
  const { url } = await httpServer(() => ({ body: planted }));
  await expect(bring(`${url}/sops-v3.13.2.linux.amd64`, sha256(saying("3.13.2")))).rejects.toThrow(
    `sops-v3.13.2.linux.amd64: what was downloaded has SHA-256 ${sha256(planted)}, published is ${sha256(saying("3.13.2"))}; it was thrown away and nothing was run`,
  );
  expect(readdirSync(dir)).toEqual([]);
});

test("the sums of this version are pinned for every platform the vendor has programs for", () => {
  for (const platform of ["linux", "darwin"])
    for (const arch of ["x64", "arm64"])
      expect(pinnedSum(programName(sopsVersion, platform, arch)), `${platform} ${arch}`).toMatch(/^[0-9a-f]{64}$/);
});
