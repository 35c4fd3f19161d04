import { describe, expect, test } from "vitest";
import { parseConfig } from "../../../config/parse.ts";
import { mistakesIn } from "../../support/mistakes.ts";

const sites = [{ host: "www.example.org", origin: "http://web:8080" }];
const luggage = {
  mqtt: { files: "./mqtt", command: ["serve"], port: 1883 },
  silent: { files: "./silent", command: ["run"] },
};
const parse = (ports: object, more: object = {}) =>
  parseConfig({ app: "my-edge", regions: { cdg: {} }, sites, luggage, ports, ...more });

const mistakes = (ports: object, more: object = {}) => mistakesIn(() => parse(ports, more));

describe("ports", () => {
  test("are part of the image's spec by number, complete, with hosts in one spelling", () => {
    const { image } = parse({
      2222: { to: "Git.Tail.Example.:22", proxyProtocol: "v2", limit: { connections: 5, total: 50 }, idle: "10m" },
      22: { to: "git.tail.example:80", proxyProtocol: false, limit: { total: 10 } },
      1883: { luggage: "mqtt" },
      25: { to: "[FD7A:115c::7]:25", limit: {} },
    });
    const defaults = { limit: { connections: 64, total: 256 }, idleSeconds: 3600 };
    expect(image.ports).toEqual([
      {
        port: 22,
        to: { kind: "host", address: "git.tail.example:80" },
        limit: { connections: 10, total: 10 },
        idleSeconds: 3600,
      },
      { port: 25, to: { kind: "host", address: "[fd7a:115c::7]:25" }, ...defaults },
      { port: 1883, to: { kind: "luggage", luggage: "mqtt" }, ...defaults },
      {
        port: 2222,
        to: { kind: "host", address: "git.tail.example:22" },
        proxyProtocol: "v2",
        limit: { connections: 5, total: 50 },
        idleSeconds: 600,
      },
    ]);
  });

  test("the spec has no ports if the stack file has none", () => {
    expect(parse({}).image).not.toHaveProperty("ports");
  });

  test.each<[object]>([
    [{ 1: { to: "10.0.0.1:65535" } }],
    [{ 65535: { to: "a_b.home:1" } }],
    // They are the PoP's own inside alone.
    [{ 1105: { to: "git:22" } }],
    [{ 8080: { to: "git:443" } }],
  ])("%j is taken", (ports) => {
    expect(mistakes(ports)).toEqual([]);
  });

  test("say who may use them as sites do: lists in one spelling, files by their path", () => {
    const access = { allow: ["10.1.2.3/8", "2001:DB8::/32", "10.0.0.0/8"], deny: "./lists/bad.txt" };
    expect(parse({ 22: { to: "git:22", access } }).image.ports?.[0]?.access).toEqual({
      allow: { networks: ["10.0.0.0/8", "2001:db8::/32"], files: [] },
      deny: { networks: [], files: ["lists/bad.txt"] },
    });
  });

  test("a site's host may be asked where its zone leads home", () => {
    const ports = { 22: { to: "www.example.org:22" } };
    expect(mistakes(ports, { dns: { forward: [{ zone: "example.org", servers: ["10.0.0.53"] }] } })).toEqual([]);
  });

  test.each<[object, string]>([
    [{ 443: { to: "a:1" } }, "ports.443: this port belongs to sites. Configure it under sites."],
    [{ 80: { to: "a:1" } }, "ports.80: this port belongs to sites. Configure it under sites."],
    [{ 0: { to: "a:1" } }, "ports.0: expected a port from 1 to 65535."],
    [{ 65536: { to: "a:1" } }, "ports.65536: expected a port from 1 to 65535."],
    [{ "022": { to: "a:1" } }, "ports.022: expected a port from 1 to 65535."],
    [{ ssh: { to: "a:1" } }, "ports.ssh: expected a port from 1 to 65535."],
    [{ "22;}": { to: "a:1" } }, 'ports["22;}"]: expected a port from 1 to 65535.'],
    [{ "6000-6010": { to: "a:1" } }, "ports.6000-6010: expected one port, not a range. Write each."],
    [{ 22: {} }, "ports.22 has neither to nor luggage: use exactly one."],
    [{ 22: { to: "a:1", luggage: "mqtt" } }, "ports.22 has both to and luggage: use exactly one."],
    [{ 22: "git:22" }, 'ports.22 is "git:22": expected a map with to or luggage.'],
    [{ 22: { to: "git" } }, 'ports.22.to is "git": needs a port, as in git.tail.example:22.'],
    [{ 22: { to: "git:0" } }, 'ports.22.to is "git:0": expected a port from 1 to 65535.'],
    [{ 22: { to: "git:65536" } }, 'ports.22.to is "git:65536": expected a port from 1 to 65535.'],
    [
      { 22: { to: "ssh://git:22" } },
      'ports.22.to is "ssh://git:22": expected a host and a port, without scheme, as in git.tail.example:22.',
    ],
    [
      { 22: { to: "fd7a::7" } },
      'ports.22.to is "fd7a::7": expected an IPv6 address in brackets, and a port, as in [fd7a::7]:22.',
    ],
    [{ 22: { to: "git:22/x" } }, 'ports.22.to is "git:22/x": expected a host and a port, as in git.tail.example:22.'],
    [{ 22: { to: "g it:22" } }, 'ports.22.to is "g it:22": expected a host and a port, as in git.tail.example:22.'],
    [{ 22: { to: "git;}:22" } }, 'ports.22.to is "git;}:22": expected a DNS name or an address as host.'],
    [{ 22: { to: "$host:22" } }, 'ports.22.to is "$host:22": expected a DNS name or an address as host.'],
    [
      { 22: { to: "127.0.0.1:1103" } },
      'ports.22.to is "127.0.0.1:1103": leads to the PoP itself. To forward to luggage, use the luggage key.',
    ],
    [
      { 22: { to: "[::1]:22" } },
      'ports.22.to is "[::1]:22": leads to the PoP itself. To forward to luggage, use the luggage key.',
    ],
    [
      { 22: { to: "[::ffff:127.0.0.1]:22" } },
      'ports.22.to is "[::ffff:127.0.0.1]:22": leads to the PoP itself. To forward to luggage, use the luggage key.',
    ],
    [
      { 22: { to: "LOCALHOST:22" } },
      'ports.22.to is "LOCALHOST:22": leads to the PoP itself. To forward to luggage, use the luggage key.',
    ],
    [
      { 22: { to: "www.example.org:22" } },
      'ports.22.to is "www.example.org:22": sites[0] is that host, so the edge would send the request to itself. Use the host behind the edge, or add its zone to dns.forward.',
    ],
    [
      { 22: { luggage: "mqt" } },
      'ports.22.luggage is "mqt": no such luggage; did you mean mqtt? Expected mqtt, silent.',
    ],
    [
      { 22: { luggage: "silent" } },
      'ports.22.luggage is "silent": luggage.silent has no port, so it cannot serve requests. Set its port.',
    ],
    [{ 22: { to: "a:1", proxyProtocol: "v1" } }, 'ports.22.proxyProtocol is "v1": expected v2 or false.'],
    [{ 22: { to: "a:1", proxyProtocol: true } }, "ports.22.proxyProtocol is true: expected v2 or false."],
    [
      { 22: { to: "a:1", idle: "5s" } },
      'ports.22.idle is "5s": expected a duration from 10s to 1d: a number with s, m, h or d, or plain seconds.',
    ],
    [
      { 22: { to: "a:1", limit: { total: 0 } } },
      "ports.22.limit.total is 0: expected a whole number of connections from 1 to 10000.",
    ],
    [
      { 22: { to: "a:1", limit: { connections: 300 } } },
      "ports.22.limit.connections is 300: total is 256. The limit per visitor must not exceed the total.",
    ],
    [
      { 22: { to: "a:1", limit: { total: 1000 } }, 25: { to: "a:1", limit: { total: 1000 } } },
      "ports allows 2000 connections in total (the sum of limit.total), but a PoP with 256 MB of memory can hold 1024 besides its sites. Lower the limits, or give the PoPs more memory.",
    ],
    [
      { 22: { target: "a:1", to: "a:1" } },
      "ports.22.target: unknown key. Allowed keys: to, luggage, proxyProtocol, access, limit, idle.",
    ],
    [{ 22: { to: "a:1", access: {} } }, "ports.22.access is empty: expected at least one of allow, deny."],
    [
      { 22: { to: "a:1", access: { agents: ["GPTBot"] } } },
      "ports.22.access.agents: raw TCP has no User-Agent. Allowed keys: allow, deny.",
    ],
    [
      { 22: { to: "a:1", access: { allow: ["10.0.0.0/8"], agents: ["GPTBot"] } } },
      "ports.22.access.agents: raw TCP has no User-Agent. Allowed keys: allow, deny.",
    ],
    [
      { 22: { to: "a:1", access: { alow: "10.0.0.1" } } },
      "ports.22.access.alow: unknown key; did you mean allow? Allowed keys: allow, deny.",
    ],
    [
      { 22: { to: "a:1", access: { allow: [] } } },
      "ports.22.access.allow is an empty list: expected 1 to 1000 entries; put longer lists into a file.",
    ],
    [
      { 22: { to: "a:1", access: "10.0.0.0/8" } },
      'ports.22.access is "10.0.0.0/8": expected a map with any of allow, deny.',
    ],
  ])("%j is not", (ports, sentence) => {
    expect(mistakes(ports)).toEqual([sentence]);
  });

  test("a name that every object has is not a port", () => {
    expect(mistakes(JSON.parse('{ "__proto__": null, "constructor": { "to": "a:1" } }'))).toEqual([
      "ports.__proto__: expected a port from 1 to 65535.",
      "ports.constructor: expected a port from 1 to 65535.",
    ]);
  });

  test("more than fit are not", () => {
    const ports = Object.fromEntries(
      Array.from({ length: 33 }, (_, at) => [String(2000 + at), { to: "a:1", limit: { total: 1, connections: 1 } }]),
    );
    expect(mistakes(ports)).toEqual(["ports has 33 ports: at most 32 are allowed."]);
  });

  test("with more memory more connections fit", () => {
    const ports = { 22: { to: "a:1", limit: { total: 2000 } } };
    expect(mistakes(ports)).toHaveLength(1);
    expect(mistakes(ports, { defaults: { memoryMb: 512 } })).toEqual([]);
    expect(mistakes(ports, { defaults: { memoryMb: 512 }, regions: { cdg: {}, ams: { memoryMb: 256 } } })).toHaveLength(
      1,
    );
  });

  test("luggage does not listen where a port leads to inside", () => {
    const busy = { luggage: { mqtt: { ...luggage.mqtt, port: 1201 } } };
    expect(mistakes({ 22: { to: "a:1" } }, busy)).toEqual([]);
    expect(mistakes({ 22: { to: "a:1" }, 25: { to: "a:1" } }, busy)).toEqual([
      "luggage.mqtt.port is 1201: this port is already used by the image (ports.25). Choose another.",
    ]);
  });
});
