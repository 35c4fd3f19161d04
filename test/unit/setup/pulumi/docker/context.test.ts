import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";

const require = createRequire(import.meta.url);
const { digestOf, listContext, tarOf } = require("../../../../../setup/pulumi/docker/context.cjs");
const dockerode = createRequire(require.resolve("dockerode"));
const DockerIgnore = dockerode("@balena/dockerignore");
const tarStream = createRequire(dockerode.resolve("tar-fs"))("tar-stream");

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "setup-context-"));
  write("Dockerfile", "FROM scratch\n");
  write("etc/nginx.conf", "events {}\n");
  write("etc/unbound.conf", "server:\n");
});
afterEach(() => rmSync(dir, { recursive: true }));

/** Writes a file of the context with a fixed mode, whatever the umask. */
function write(name: string, text: string, mode = 0o644) {
  mkdirSync(join(dir, name, ".."), { recursive: true });
  writeFileSync(join(dir, name), text);
  chmodSync(join(dir, name), mode);
}
const list = (dockerfile = join(dir, "Dockerfile")) => listContext(dir, dockerfile, DockerIgnore);
const names = (dockerfile?: string): string[] => list(dockerfile).entries.map((it: { name: string }) => it.name);
const digest = (): Promise<string> => digestOf(list().entries);

test("the entries come sorted, directories included", () => {
  expect(names()).toEqual(["Dockerfile", "etc", "etc/nginx.conf", "etc/unbound.conf"]);
});

test.each([
  ["times", () => utimesSync(join(dir, "etc/nginx.conf"), 1, 1)],
  ["an ignored file", () => write("note.txt", "new")],
  ["a file written again as it was", () => write("etc/nginx.conf", "events {}\n")],
])("%s do not change the digest", async (_, change) => {
  write(".dockerignore", "note.txt\n");
  write("note.txt", "old");
  const before = await digest();
  change();
  expect(await digest()).toBe(before);
});

test.each([
  ["content", () => write("etc/nginx.conf", "events { }\n")],
  ["a mode", () => chmodSync(join(dir, "etc/nginx.conf"), 0o755)],
  ["a new file", () => write("etc/new", "")],
  ["an empty directory", () => mkdirSync(join(dir, "empty"))],
  ["a removed file", () => unlinkSync(join(dir, "etc/nginx.conf"))],
  ["the Dockerfile", () => write("Dockerfile", "FROM scratch AS x\n")],
  [
    "a link's target",
    () => {
      unlinkSync(join(dir, "link"));
      symlinkSync("etc/unbound.conf", join(dir, "link"));
    },
  ],
])("%s changes the digest", async (_, change) => {
  symlinkSync("etc/nginx.conf", join(dir, "link"));
  const before = await digest();
  change();
  expect(await digest()).not.toBe(before);
});

test("content moved from one file to the next changes the digest", async () => {
  write("a", "12");
  write("b", "3");
  const before = await digest();
  write("a", "1");
  write("b", "23");
  expect(await digest()).not.toBe(before);
});

test("a later ! brings back what an ignored directory holds", () => {
  write(".dockerignore", "etc\n!etc/unbound.conf\n");
  expect(names()).toEqual([".dockerignore", "Dockerfile", "etc/unbound.conf"]);
});

test("an ignored Dockerfile is sent all the same", () => {
  write(".dockerignore", "**\n");
  expect(names()).toEqual(["Dockerfile"]);
});

test("the Dockerfile's own ignore file wins over the context's", () => {
  write(".dockerignore", "etc/nginx.conf\n");
  write("Dockerfile.dockerignore", "etc/unbound.conf\n");
  expect(names()).toContain("etc/nginx.conf");
  expect(names()).not.toContain("etc/unbound.conf");
});

test("a Dockerfile outside the context goes in under a name of its own", () => {
  const outside = `${dir}.Dockerfile`;
  writeFileSync(outside, "FROM scratch\n");
  try {
    const { dockerfile } = list(outside);
    expect(names(outside).filter((it) => it === dockerfile)).toHaveLength(1);
    expect(dockerfile).not.toBe("Dockerfile");
  } finally {
    unlinkSync(outside);
  }
});

test("equal contexts are equal tars, whenever they were written", async () => {
  const tar = () => buffer(tarOf(list().entries, tarStream));
  const before = await tar();
  utimesSync(join(dir, "etc/nginx.conf"), 1, 1);
  expect((await tar()).equals(before)).toBe(true);
  expect(before.includes("events {}\n")).toBe(true);
});
