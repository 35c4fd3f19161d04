import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fromVendor, programName, sopsVersion } from "../../setup/sops.mjs";
import { httpServer } from "../support/http-server.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "setup-sops-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const bring = (url: string) =>
  fromVendor(join(folder, "sops"), { url, say: () => undefined, limits: { answer: 2000, silence: 2000 } });
const saying = (version: string) => `#!/bin/sh\necho sops ${version}\n`;

test("the version stands in go.mod alone, and is one that knows SSH keys", () => {
  expect(sopsVersion).toMatch(/^3\.(1[0-9]|[2-9]\d)\.\d+$/);
});

test("programs are named as the vendor names them", () => {
  expect(programName("3.13.2", "linux", "x64")).toBe("sops-v3.13.2.linux.amd64");
  expect(programName("3.13.2", "darwin", "arm64")).toBe("sops-v3.13.2.darwin.arm64");
});

test("the vendor's program ends up in its place, and can be run", async () => {
  const { url } = await httpServer(() => ({ body: saying("3.13.2") }));
  expect(await bring(url)).toBeUndefined();
  expect(readFileSync(join(folder, "sops"), "utf8")).toBe(saying("3.13.2"));
});

test.each([
  ["refuses", { status: 404 }, /^status 404$/],
  ["sends something else", { body: "<html>" }, /^what came is no sops$/],
  ["sends an old one", { body: saying("3.9.4") }, /^what came is no sops$/],
])("a vendor that %s: a reason, and nothing half-made", async (_, answer, reason) => {
  const { url } = await httpServer(() => answer);
  expect(await bring(url)).toMatch(reason);
  expect(existsSync(join(folder, "sops"))).toBe(false);
});
