import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { contextDigest, writeContext } from "../../../image/context.ts";
import { dockerfile } from "../../../image/render/dockerfile.ts";
import type { ImageSpec } from "../../../image/spec.ts";
import { spec } from "./render/spec.ts";

/** Self-signed, not in use anywhere. */
const certificate = readFileSync(new URL("../../image/support/origin.pem", import.meta.url), "utf8");

let project: string;
let dir: string;

beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), "fly-pops-context-"));
  dir = join(project, "out", "context");
  put("status-page/index.html", "<h1>fine</h1>\n");
  put("blog/bin/serve", "#!/bin/sh\n", 0o755);
  put("home-ca.pem", certificate);
});

afterEach(() => rmSync(project, { recursive: true }));

function put(path: string, text: string, mode = 0o644): void {
  mkdirSync(join(project, path, ".."), { recursive: true });
  writeFileSync(join(project, path), text);
  chmodSync(join(project, path), mode);
}

const read = (path: string): string => readFileSync(join(dir, path), "utf8");
const modeOf = (path: string): string => (statSync(join(dir, path)).mode & 0o777).toString(8);
const listed = (): string[] =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)))
    .toSorted();

const filesSite = (sourceDir: string): ImageSpec => ({
  ...spec,
  luggage: {},
  sites: [{ kind: "files", host: "status.example.org", dir: sourceDir }],
});

test("contains what the Dockerfile copies, and returns its path", () => {
  expect(writeContext(spec, dir, project)).toBe(dir);
  expect(listed()).toEqual(
    expect.arrayContaining([
      "Dockerfile",
      "build/normalize-tree",
      "config/etc/nginx/nginx.conf",
      "config/etc/passwd",
      "config/usr/libexec/pop/post-init",
      "luggage/blog/bin/serve",
      "pop/main.go",
      "programs/process-compose/go.sum",
      "runas/runas.c",
      "sites/status.example.org/index.html",
    ]),
  );
});

test("only programs are executable", () => {
  writeContext(spec, dir, project);
  expect(["build/normalize-tree", "config/usr/libexec/pop/boot", "luggage/blog/bin/serve"].map(modeOf)).toEqual([
    "755",
    "755",
    "755",
  ]);
  expect(["Dockerfile", "config/etc/shadow", "sites/status.example.org/index.html"].map(modeOf)).toEqual([
    "644",
    "644",
    "644",
  ]);
});

test("a second run writes nothing", () => {
  writeContext(spec, dir, project);
  const long = new Date("2001-01-01");
  for (const path of listed()) utimesSync(join(dir, path), long, long);
  writeContext(spec, dir, project);
  expect(listed().filter((path) => statSync(join(dir, path)).mtime > long)).toEqual([]);
});

test("a changed page rewrites only that page and the digest", () => {
  writeContext(spec, dir, project);
  const long = new Date("2001-01-01");
  for (const path of listed()) utimesSync(join(dir, path), long, long);
  put("status-page/index.html", "<h1>down</h1>\n");
  writeContext(spec, dir, project);
  expect(listed().filter((path) => statSync(join(dir, path)).mtime > long)).toEqual([
    "Dockerfile",
    "sites/status.example.org/index.html",
  ]);
  expect(read("sites/status.example.org/index.html")).toBe("<h1>down</h1>\n");
});

test("the image has the context digest in its environment, and no earlier build step depends on it", () => {
  writeContext(spec, dir, project);
  const [before, after, ...more] = read("Dockerfile").split(`ENV POP_CONTEXT=${contextDigest(spec, project)}\n`);
  expect(more).toEqual([]);
  expect(after).toBe('STOPSIGNAL SIGTERM\nENTRYPOINT ["/usr/libexec/pop/boot"]\n');
  put("status-page/index.html", "<h1>down</h1>\n");
  writeContext(spec, dir, project);
  const [same, , ...none] = read("Dockerfile").split(`ENV POP_CONTEXT=${contextDigest(spec, project)}\n`);
  expect([same, none]).toEqual([before, []]);
});

test.each<[string, () => ImageSpec]>([
  ["a setting", () => ({ ...spec, cache: { ...spec.cache, maxSizeMb: spec.cache.maxSizeMb + 1 } })],
  [
    "a page",
    () => {
      put("status-page/index.html", "<h1>down</h1>\n");
      return spec;
    },
  ],
  [
    "a program's mode",
    () => {
      chmodSync(join(project, "blog/bin/serve"), 0o644);
      return spec;
    },
  ],
])("%s changes the digest; time and place of writing do not", (_, changed) => {
  const digest = contextDigest(spec, project);
  writeContext(spec, dir, project);
  writeContext(spec, join(project, "elsewhere"), project);
  expect(contextDigest(spec, project)).toBe(digest);
  expect(readFileSync(join(project, "elsewhere", "Dockerfile"), "utf8")).toBe(read("Dockerfile"));
  expect(contextDigest(changed(), project)).not.toBe(digest);
});

test("a file that became executable is executable in the context", () => {
  put("blog/extra", "x");
  writeContext(spec, dir, project);
  chmodSync(join(project, "blog/extra"), 0o755);
  writeContext(spec, dir, project);
  expect(modeOf("luggage/blog/extra")).toBe("755");
});

test("removes files and directories that are no longer needed, and a directory in place of a file", () => {
  writeContext(spec, dir, project);
  mkdirSync(join(dir, "left/over"), { recursive: true });
  rmSync(join(dir, "Dockerfile"));
  mkdirSync(join(dir, "Dockerfile"));
  writeContext({ ...spec, sites: [], luggage: {} }, dir, project);
  expect(readdirSync(dir).toSorted()).toEqual([
    "Dockerfile",
    "build",
    "config",
    "nginx",
    "pop",
    "programs",
    "runas",
    "sbom",
  ]);
  expect(read("Dockerfile")).not.toMatch(/luggage-blog|srv\/sites/);
});

test("hidden files are left out, except .well-known", () => {
  put("status-page/.git/config", "secret");
  put("status-page/.env", "secret");
  put("status-page/.well-known/security.txt", "Contact: x");
  writeContext(filesSite("status-page"), dir, project);
  expect(listed().filter((path) => path.startsWith("sites/"))).toEqual([
    "sites/status.example.org/.well-known/security.txt",
    "sites/status.example.org/index.html",
  ]);
});

test("links within a directory are followed", () => {
  symlinkSync("index.html", join(project, "status-page/home.html"));
  writeContext(filesSite("status-page"), dir, project);
  expect(read("sites/status.example.org/home.html")).toBe("<h1>fine</h1>\n");
});

test.each([
  ["a missing directory", () => "nowhere", /site status\.example\.org: files: nowhere is not a directory/],
  ["a file", () => "status-page/index.html", /is not a directory/],
  [
    "an empty directory",
    () => {
      mkdirSync(join(project, "empty"));
      return "empty";
    },
    /holds no file to pack/,
  ],
  [
    "a link that leads out",
    () => {
      symlinkSync("/etc/passwd", join(project, "status-page/passwd"));
      return "status-page";
    },
    /leads out of the directory, to \/etc\/passwd/,
  ],
  [
    "a link in a circle",
    () => {
      symlinkSync(".", join(project, "status-page/again"));
      return "status-page";
    },
    /leads to a directory above itself/,
  ],
])("rejects %s, and leaves the context unchanged", (_, source, reason) => {
  writeContext(spec, dir, project);
  const before = listed();
  expect(() => writeContext(filesSite(source()), dir, project)).toThrow(reason);
  expect(listed()).toEqual(before);
});

const trusting = (ca: string): ImageSpec => ({
  ...spec,
  luggage: {},
  sites: [
    {
      kind: "proxy",
      host: "www.example.org",
      origins: ["https://a.example"],
      tls: { ca },
    },
  ],
});
const caPlace = "config/etc/pop/origin-ca/www.example.org.pem";

test("packs only the certificates of a site's CA file", () => {
  put("two.pem", `a remark\n${certificate}another\n${certificate}`);
  writeContext(trusting("two.pem"), dir, project);
  expect(read(caPlace)).toBe(certificate + certificate);
});

test.each([
  ["a file that is not there", undefined, /site www\.example\.org: tls\.ca: ca\.pem is not a file/],
  ["one without certificate", "hello\n", /holds no PEM certificate/],
  ["one with a private key", `${certificate}-----BEGIN EC PRIVATE KEY-----\n`, /holds a private key/],
  [
    "an invalid certificate",
    `${certificate}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
    /certificate 2 of ca\.pem cannot be read/,
  ],
])("rejects as a CA file %s", (_, text, reason) => {
  if (text !== undefined) put("ca.pem", text);
  expect(() => writeContext(trusting("ca.pem"), dir, project)).toThrow(reason);
});

test("Tailscale has a layer of its own if the spec has a tailnet, otherwise none", () => {
  const stages = (text: string) =>
    text
      .split("FROM scratch\n")
      .at(-1)
      ?.match(/^COPY --from=\S+/gm);
  writeContext(spec, dir, project);
  expect(stages(read("Dockerfile"))?.slice(2, 5)).toEqual(
    ["tailscale", "pop-secrets", "process-compose"].map((stage) => `COPY --from=${stage}`),
  );
  const { tailnet, ...without } = spec;
  writeContext(without, dir, project);
  expect(read("Dockerfile")).not.toContain("COPY --from=tailscale");
});

test("the Dockerfile has a layer for each piece of luggage and one for all sites, before the configuration's", () => {
  writeContext(spec, dir, project);
  const final = read("Dockerfile").split("FROM scratch\n").at(-1) ?? "";
  expect(final.match(/^COPY --from=\S+/gm)).toEqual(
    [
      "skeleton",
      "closure",
      "tailscale",
      "pop-secrets",
      "process-compose",
      "helpers",
      "sbom",
      "luggage-blog",
      "luggage-collector",
      "sites",
      "check",
    ].map((stage) => `COPY --from=${stage}`),
  );
  expect(final).not.toMatch(/^RUN/m);
  expect(read("Dockerfile")).toContain("COPY --from=registry.example.org/collector:1.2 / /out/luggage/collector/\n");
});

test.each(["", "a b", "--link x", "A/b", "a\nRUN x", "$BASE"])("rejects %j as an image", (ref) => {
  const luggage: ImageSpec["luggage"] = { one: { source: { kind: "image", ref }, command: ["x"], env: {} } };
  expect(() => dockerfile("#:sources", { sites: [], luggage })).toThrow(/not an image reference/);
});
