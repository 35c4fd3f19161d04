import fc from "fast-check";
import { expect, test } from "vitest";
import { unboundConf } from "../../../../image/render/unbound.ts";
import { attempt, hostile, shuffled, spec } from "./spec.ts";

const conf = unboundConf(spec.dns, spec.tailnet);

test("matches the golden file", () => expect(conf).toMatchFileSnapshot("golden/unbound.conf"));

test("the order of zones does not matter", () => {
  fc.assert(
    fc.property(shuffled(spec.dns.forward), (forward) => {
      expect(unboundConf({ forward }, spec.tailnet)).toBe(conf);
    }),
  );
});

test("validates from the root, and accepts forwarded zones without signatures", () => {
  expect(conf).toContain('module-config: "validator iterator"');
  expect(conf).toContain('auto-trust-anchor-file: "/var/lib/unbound/root.key"');
  expect(conf.match(/domain-insecure: .*/g)).toEqual([
    'domain-insecure: "corp.test."',
    'domain-insecure: "tail.example."',
  ]);
});

test("validates nothing if the root zone itself is forwarded", () => {
  const all = unboundConf({ forward: [{ zone: ".", servers: ["127.0.0.11"] }] });
  expect(all).toContain('module-config: "iterator"');
  expect(all).not.toMatch(/trust-anchor|domain-insecure/);
  expect(all).toContain('forward-zone:\n  name: "."\n  forward-addr: 127.0.0.11\n');
});

test("forwards the tailnet's names to Tailscale, and only with a tailnet", () => {
  expect(conf).toContain('forward-zone:\n  name: "tail.example."\n  forward-addr: 100.100.100.100\n');
  expect(unboundConf(spec.dns)).not.toContain("100.100.100.100");
});

test("rejects a zone that is forwarded twice", () => {
  const twice = { forward: [{ zone: "tail.example", servers: ["192.0.2.1"] }] };
  expect(() => unboundConf(twice, spec.tailnet)).toThrow(/tail\.example\.: it is forwarded twice/);
});

test("queries loopback only if a zone is forwarded to it", () => {
  expect(conf).not.toContain("do-not-query-localhost");
  expect(unboundConf({ forward: [{ zone: "a.test", servers: ["127.0.0.11"] }] })).toContain(
    "do-not-query-localhost: no",
  );
  expect(unboundConf({ forward: [{ zone: "a.test", servers: ["::1@53"] }] })).toContain("do-not-query-localhost: no");
});

test("listens on loopback only", () => {
  expect(conf.match(/interface: .*/g)).toEqual(["interface: 127.0.0.1@1104"]);
});

test.each(["", "a b", "a..b", "-a", 'a"', "a\nb", "*.a", "a/b"])("rejects zone %j", (zone) => {
  expect(() => unboundConf({ forward: [{ zone, servers: ["192.0.2.1"] }] })).toThrow(/not a domain name/);
});

test.each([
  "",
  "a.example",
  "192.0.2",
  "192.0.2.256",
  "1.2.3.4.",
  "192.0.2.1@",
  "192.0.2.1@0",
  "192.0.2.1@65536",
  "192.0.2.1:53",
  "fe80::1%eth0",
  ":",
  "1.2.3.4\n",
])("rejects server %j", (server) => {
  expect(() => unboundConf({ forward: [{ zone: "a.test", servers: [server] }] })).toThrow(/not an IP address/);
});

test("user input cannot break out of its place", () => {
  const forward = (zone: string, server: string) => unboundConf({ forward: [{ zone, servers: [server] }] });
  const lines = forward("a.test", "192.0.2.1").split("\n").length;
  fc.assert(
    fc.property(hostile, hostile, (zone, server) => {
      for (const seen of [attempt(() => forward(zone, "192.0.2.1")), attempt(() => forward("a.test", server))]) {
        if (seen === "refused") continue;
        expect(Math.abs(seen.split("\n").length - lines)).toBeLessThanOrEqual(4); // the root and loopback are told apart
        for (const [, name] of seen.matchAll(/^\s+name: (.*)$/gm)) expect(name).toMatch(/^"[a-z0-9._-]+"$|^"\."$/);
        for (const [, address] of seen.matchAll(/^\s+forward-addr: (.*)$/gm))
          expect(address).toMatch(/^[0-9a-f.:]+(@\d+)?$/);
      }
    }),
    { numRuns: 2000 },
  );
});
