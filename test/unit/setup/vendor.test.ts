import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { place } from "../../../setup/files.mjs";
import { archiveName, fromVendor } from "../../../setup/pulumi-cli.mjs";

let dir: string;
let archive: Buffer;
let server: Server | undefined;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "setup-vendor-"));
  mkdirSync(join(dir, "pulumi"));
  writeFileSync(join(dir, "pulumi/pulumi"), "the CLI");
  execFileSync("tar", ["-czf", join(dir, "archive.tgz"), "-C", dir, "pulumi"]);
  archive = readFileSync(join(dir, "archive.tgz"));
});
afterEach(async () => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
  rmSync(dir, { recursive: true });
});

async function serve(listener: RequestListener) {
  server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/archive`;
}
const bin = () => join(dir, "home/versions/1/bin");
const sha256 = (bytes: Buffer | string) => createHash("sha256").update(bytes).digest("hex");
const limits = { answer: 10_000, silence: 10_000 };
const short = { answer: 300, silence: 300 };
const bring = (url: string, sum = sha256(archive), timeouts = limits) =>
  fromVendor(bin(), { url, sum, list: `${url}.sums`, say: () => undefined, limits: timeouts });

test("the vendor's archive ends up whole in its place, over what was there", async () => {
  mkdirSync(bin(), { recursive: true });
  writeFileSync(join(bin(), "half"), "");
  const url = await serve((_, response) => response.end(archive));
  expect(await bring(url)).toBeUndefined();
  expect(readFileSync(join(bin(), "pulumi"), "utf8")).toBe("the CLI");
  expect(readdirSync(bin())).toEqual(["pulumi"]);
});

test.each<[string, RequestListener, RegExp, typeof limits]>([
  ["refuses", (_, response) => response.writeHead(403).end(), /^status 403$/, limits],
  ["never answers", () => undefined, /^no answer in 300 ms$/, short],
  [
    "stops in the middle",
    (_, response) => response.write(archive.subarray(0, 20)),
    /^silent for 300 ms$/,
    { ...limits, silence: short.silence },
  ],
  [
    "breaks off",
    (_, response) => void response.writeHead(200, { "content-length": 9999 }).write("x", () => response.destroy()),
    /./,
    limits,
  ],
])("a vendor that %s: a reason, soon, and nothing half-made", async (_, listener, reason, timeouts) => {
  expect(await bring(await serve(listener), sha256(archive), timeouts)).toMatch(reason);
  expect(existsSync(bin())).toBe(false);
});

test("an archive with another sum than the published one is not unpacked, and ends setup in a sentence", async () => {
  const url = await serve((_, response) => response.end("<html>"));
  await expect(bring(url)).rejects.toThrow(
    `archive: what was downloaded has SHA-256 ${sha256("<html>")}, published is ${sha256(archive)}; it was thrown away`,
  );
  expect(existsSync(bin())).toBe(false);
});

test("one that is not an archive either: a reason", async () => {
  const url = await serve((_, response) => response.end("<html>"));
  expect(await bring(url, sha256("<html>"))).toMatch(/^tar failed with code/);
});

describe("without a pinned sum the vendor's own list decides", () => {
  const listed = (list: string) =>
    serve(({ url }, response) => response.end(url?.endsWith(".sums") ? list : archive)).then((url) =>
      fromVendor(bin(), { url, sum: undefined, list: `${url}.sums`, say: () => undefined, limits }),
    );

  test("which has it", async () => {
    expect(await listed(`${"0".repeat(64)}  other.tar.gz\n${sha256(archive)}  archive\n`)).toBeUndefined();
    expect(existsSync(join(bin(), "pulumi"))).toBe(true);
  });

  test("which has another", async () => {
    await expect(listed(`${"0".repeat(64)}  archive\n`)).rejects.toThrow("published is 0000");
    expect(existsSync(bin())).toBe(false);
  });

  test.each(["", "<html>", `${"0".repeat(63)}  archive`, `${"0".repeat(64)}  archive.sig`])(
    "which does not name it (%j): it is not used",
    async (list) => {
      expect(await listed(list)).toMatch(/has no sum of archive$/);
      expect(existsSync(bin())).toBe(false);
    },
  );
});

test("a vendor's address where nothing listens: a reason", async () => {
  const url = await serve(() => undefined);
  server?.close();
  expect(await bring(url)).toMatch(/ECONNREFUSED/);
});

test("archives are named as the vendor names them", () => {
  expect(archiveName("3.259.0", "linux", "x64")).toBe("pulumi-v3.259.0-linux-x64.tar.gz");
  expect(archiveName("3.259.0", "darwin", "arm64")).toBe("pulumi-v3.259.0-darwin-arm64.tar.gz");
});

test("a placed directory replaces the old one, a placed file the old one, and nothing stays beside", () => {
  const make = (name: string, content: string) => {
    mkdirSync(join(dir, name), { recursive: true });
    writeFileSync(join(dir, name, content), content);
    return join(dir, name);
  };
  const home = join(dir, "place/home");
  place(make("one", "a"), home);
  place(make("two", "b"), home);
  expect(readdirSync(home)).toEqual(["b"]);
  place(join(make("three", "c"), "c"), join(home, "b"));
  expect(readFileSync(join(home, "b"), "utf8")).toBe("c");
  expect(readdirSync(join(dir, "place"))).toEqual(["home"]);
});
