import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkContext, writeContext } from "../../../../image/context.ts";
import { networkListFile } from "../../../../image/render/nginx-access.ts";
import type { Access, ImageSpec } from "../../../../image/spec.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "fly-pops-lists-"));
  mkdirSync(join(dir, "lists"));
  writeFileSync(join(dir, "lists/bad.txt"), "# bad\n203.0.113.7\n2001:db8::/32 ; a network\n");
  writeFileSync(join(dir, "lists/broken.txt"), "203.0.113.7\nhome\n");
});
afterAll(() => rmSync(dir, { recursive: true }));

const of = (access: Access): ImageSpec => ({
  sites: [{ kind: "redirect", host: "a.example.org", to: "https://b.example.org", access }],
  luggage: {},
  dns: { forward: [] },
  cache: { maxSizeMb: 64, indexMb: 1 },
});
const files = (...files: string[]) => ({ networks: [], files });

test("a list is packed as nginx reads it", () => {
  const context = writeContext(of({ deny: files("lists/bad.txt") }), join(dir, "context"), dir);
  expect(readFileSync(join(context, "config", networkListFile("lists/bad.txt")), "utf8")).toBe(
    "2001:db8::/32 1;\n203.0.113.7/32 1;\n",
  );
});

test("a port's list is packed as a site's is, and errors name the port", () => {
  const port = (file: string): ImageSpec => ({
    ...of({ deny: files("lists/bad.txt") }),
    ports: [
      {
        port: 22,
        to: { kind: "host", address: "git:22" },
        access: { allow: files("lists/bad.txt", file) },
        limit: { connections: 1, total: 1 },
        idleSeconds: 60,
      },
    ],
  });
  expect(checkContext(port("lists/bad.txt"), dir)).toEqual([]);
  expect(checkContext(port("lists/broken.txt"), dir)).toEqual([
    'ports.22: access.allow: lists/broken.txt: line 2 is "home": takes an address or a network, as in 203.0.113.7 or 2001:db8::/32.',
  ]);
});

test("lists that cannot be packed are reported before anything is built", () => {
  expect(
    checkContext(of({ allow: files("lists/none.txt"), deny: files("lists/bad.txt", "lists/broken.txt") }), dir),
  ).toEqual([
    `site a.example.org: access.allow: lists/none.txt is not a file (looked at ${join(dir, "lists/none.txt")}).`,
    'site a.example.org: access.deny: lists/broken.txt: line 2 is "home": takes an address or a network, as in 203.0.113.7 or 2001:db8::/32.',
  ]);
});
