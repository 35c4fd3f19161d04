import fc from "fast-check";
import { expect, test } from "vitest";
import { nginxConf } from "../../../../image/render/nginx.ts";
import type { Access, Site } from "../../../../image/spec.ts";
import { attempt, hostile, spec } from "./spec.ts";

const site = (host: string, access?: Access): Site => ({
  kind: "files",
  host,
  dir: "./site",
  ...(access && { access }),
});
const conf = (...sites: Site[]) => nginxConf({ ...spec, sites });
const networks = (...all: string[]) => ({ networks: all, files: [] });
const variables = (text: string) => new Set(text.match(/\$(?:listed|agent|denied)_[0-9a-f]{16}/g));

test("a site without access has no trace of it", () => {
  expect(conf(site("a.example.org"))).not.toMatch(/geo |\$denied|is_no_challenge/);
});

test("every part of a rule is checked, and visitors that one of them does not admit get 403", () => {
  const text = conf(
    site("a.example.org", {
      allow: networks("10.0.0.0/8"),
      deny: networks("10.1.2.3/32"),
      agents: ["GPTBot", "Claude-Web/1.0"],
    }),
  );
  const [, allow = ""] = /geo (\$\w+) \{\n *default 0;\n *10\.0\.0\.0\/8 1;\n *\}/.exec(text) ?? [];
  const [, deny = ""] = /geo (\$\w+) \{\n *default 0;\n *10\.1\.2\.3\/32 1;\n *\}/.exec(text) ?? [];
  const [, agent = ""] =
    /map \$http_user_agent (\$\w+) \{ "~\*\(\?:GPTBot\|Claude\\-Web\\\/1\\\.0\)" 1; default 0; \}/.exec(text) ?? [];
  const [, combined = ""] =
    new RegExp(
      `map "${[allow, deny, agent].join("").replaceAll("$", "\\$")}" (\\$\\w+) \\{ 100 ""; default \\$is_no_challenge; \\}`,
    ).exec(text) ?? [];
  expect([allow, deny, agent, combined]).not.toContain("");
  // nginx runs the rule again for the error page, which must not be denied.
  expect(text).toContain(
    `    set $asked "${combined} $uri";\n    if ($asked ~ "^1 (?!//error(?:/|$))") {\n      return 403;\n    }\n`,
  );
});

test("a redirect is denied too: the rule comes before it", () => {
  const access = { deny: networks("10.0.0.0/8") };
  const text = conf({ kind: "redirect", host: "a.example.org", to: "https://b.example.org", access });
  expect(text.indexOf("return 403;")).toBeLessThan(text.indexOf("return 301 https://b.example.org"));
});

test("a file that several sites name is included once", () => {
  const access = { deny: { networks: [], files: ["lists/bad.txt"] } };
  const text = conf(site("a.example.org", access), site("b.example.org", access));
  expect(text.match(/include \/etc\/nginx\/lists\/[0-9a-f]{16}\.conf;/g)).toHaveLength(1);
  expect(variables(text).size).toBe(2);
  expect(text.match(/return 403;/g)).toHaveLength(2);
});

test("ACME challenges are exempt, by the path as it was sent and in no other spelling", () => {
  const [, pattern = ""] =
    /map \$request_uri \$is_no_challenge \{ "~([^"]+)"/.exec(conf(site("a.example.org", { agents: ["GPTBot"] }))) ?? [];
  const open = new RegExp(pattern);
  expect("/.well-known/acme-challenge/a-B_9").toMatch(open);
  for (const path of [
    ...["/.well-known/acme-challenge/", "/.well-known/acme-challenge/a?b", "/.well-known/acme-challenge/../../admin"],
    ...[
      "/.well-known/acme-challenge/%2e%2e/admin",
      "//.well-known/acme-challenge/a",
      "/x/../.well-known/acme-challenge/a",
    ],
    ...["/.well-known/acme-challenge/a/b", "/.WELL-KNOWN/acme-challenge/a", "/?/.well-known/acme-challenge/a"],
  ])
    expect(path).not.toMatch(open);
});

test("only networks, files and agents get into nginx's configuration", () => {
  fc.assert(
    fc.property(hostile, (text) => {
      const texts = [{ deny: networks(text) }, { allow: networks(text) }, { agents: [text] }].map((access) =>
        attempt(() => conf(site("a.example.org", access))),
      );
      const [plain] = [conf(site("a.example.org", { agents: ["GPTBot"] }))];
      for (const it of texts)
        if (it !== "refused") expect(it.split("{").length).toBeLessThanOrEqual(plain.split("{").length + 1);
      const inFile = conf(site("a.example.org", { deny: { networks: [], files: [text] } }));
      expect(inFile).toMatch(/include \/etc\/nginx\/lists\/[0-9a-f]{16}\.conf;/);
    }),
  );
});
