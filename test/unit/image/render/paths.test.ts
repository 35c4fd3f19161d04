import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { manifest } from "../../../../image/render/manifest.ts";
import { nginxConf } from "../../../../image/render/nginx.ts";
import { packedRules } from "../../../../image/render/packed-rules.ts";
import type { PathRule, ProxySite } from "../../../../image/spec.ts";
import { attempt, hostile, spec, withSite } from "./spec.ts";

const origins = ["https://b.tail.example"];
const site = (...paths: PathRule[]): ProxySite => ({ kind: "proxy", host: "a.example.org", origins, paths });
const conf = (...paths: PathRule[]): string => nginxConf(withSite(site(...paths)));

test("a site of every kind of rule", () =>
  expect(
    conf(
      { path: "/api/", kind: "proxy", origins: ["http://api.tail.example:8080"], stripPrefix: true },
      { path: "/upload", kind: "proxy", origins, maxBodyMb: 1 },
      {
        path: "*.css",
        kind: "proxy",
        origins,
        cache: { maxAgeSeconds: 60, staleIfErrorSeconds: 0, staleWhileRevalidateSeconds: 0, maxFileMb: 1 },
      },
      { path: "/docs/", kind: "files", dir: "docs", stripPrefix: true },
      { path: "/blog/", kind: "luggage", luggage: "blog" },
      { path: "/old/", kind: "redirect", to: "/new/*", status: 308 },
      { path: "/private/", kind: "deny", status: 404 },
    ),
  ).toMatchFileSnapshot("golden/nginx-paths.conf"));

test("a stack without rules has no directives for them", () => {
  expect(nginxConf(spec)).not.toMatch(/pcre_jit|path_detour|index_of_dir/);
});

describe("origins", () => {
  const upstreams = (text: string) => [...text.matchAll(/upstream (\S+) \{/g)].map(([, name]) => name);
  const own = { path: "/a/", kind: "proxy", origins: ["http://c.tail.example"] } satisfies PathRule;

  test("of a rule are the site's if they are the same", () => {
    expect(upstreams(conf({ path: "/a/", kind: "proxy", origins, maxBodyMb: 1 }))).toEqual(["origin_a.example.org"]);
  });

  test("that several rules share exist once, under a name that does not depend on other rules", () => {
    const [, name] = upstreams(conf(own));
    expect(upstreams(conf({ path: "/x", kind: "deny", status: 403 }, { ...own, path: "/b/" }, own))).toEqual([
      "origin_a.example.org",
      name,
    ]);
  });

  test("that need relays have relays with their own timeouts", () => {
    const mixed = { kind: "proxy" as const, origins: ["https://c.tail.example", "http://d.tail.example"] };
    const text = conf({ ...mixed, path: "/a/" }, { ...mixed, path: "/b/", timeouts: { readSeconds: 9 } });
    expect(new Set(text.match(/listen unix:\S+;/g)).size).toBe(4);
  });

  test("have CA files of their own", () => {
    const text = conf({ ...own, origins: ["https://c.tail.example"], tls: { ca: "ca.pem" } });
    expect(text).toMatch(/proxy_ssl_trusted_certificate \/etc\/pop\/origin-ca\/a\.example\.org_[0-9a-f]{16}\.pem;/);
  });

  test("are checked by pop health", () => {
    expect(JSON.parse(manifest(withSite(site(own)))).origins).toEqual([
      "http://c.tail.example",
      "https://b.tail.example",
    ]);
  });
});

test("directories of rules are packed where their paths point, each once", () => {
  const packed = packedRules(
    withSite(
      site(
        { path: "/docs/", kind: "files", dir: "docs", stripPrefix: true },
        { path: "/a/", kind: "files", dir: "site" },
        { path: "/b/", kind: "files", dir: "site" },
      ),
    ),
  );
  expect(packed.map(({ dir, subdir }) => [dir, subdir]).toSorted()).toEqual([
    ["docs", "docs"],
    ["site", ""],
  ]);
  const shared = packedRules(
    withSite({
      kind: "files",
      host: "a.example.org",
      dir: "site",
      paths: [{ path: "/a/", kind: "files", dir: "site" }],
    }),
  );
  expect(shared).toEqual([]);
});

const refused: [string, PathRule][] = [
  ["a path with a second word", { path: "/a b", kind: "deny", status: 403 }],
  ["a path that ends the block", { path: '/a" {', kind: "deny", status: 403 }],
  ["a path with a variable", { path: "/$uri", kind: "deny", status: 403 }],
  ["a target with a variable", { path: "/a", kind: "redirect", to: "/$uri" }],
  ["a target that ends the statement", { path: "/a", kind: "redirect", to: '/b";' }],
  ["a target by ftp", { path: "/a", kind: "redirect", to: "ftp://b.example.org/c" }],
  ["a target with a query", { path: "/a", kind: "redirect", to: "/b?c" }],
  ["a target on another host by two slashes", { path: "/a", kind: "redirect", to: "//b.example.org" }],
  ["a rest without a prefix", { path: "/a", kind: "redirect", to: "/b/*" }],
  ["stripping without a prefix", { path: "/a", kind: "proxy", origins, stripPrefix: true }],
  ["no origin", { path: "/a", kind: "proxy", origins: [] }],
];

test.each(refused)("rejects %s", (_, rule) => {
  expect(() => conf(rule)).toThrow();
});

test("user input as a path or target cannot break out of its place", () => {
  const shape = (text: string): string => text.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""').replaceAll(/[^{};\n"]+/g, "");
  const plain = shape(conf({ path: "/a", kind: "redirect", to: "/b" }));
  fc.assert(
    fc.property(hostile, (text) => {
      const asPath = attempt(() => conf({ path: `/a${text.replaceAll("*", "")}c`, kind: "redirect", to: "/b" }));
      if (asPath !== "refused") expect(shape(asPath)).toBe(plain);
      const asTarget = attempt(() => conf({ path: "/a", kind: "redirect", to: `/${text.replaceAll("*", "")}` }));
      if (asTarget !== "refused") expect(shape(asTarget)).toBe(plain);
    }),
    { numRuns: 1000 },
  );
});
