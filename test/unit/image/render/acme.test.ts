/** The files of an image whose PoPs order their certificates themselves. */
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { renderedFiles } from "../../../../image/context.ts";
import { certsConfig } from "../../../../image/render/certs.ts";
import { dirs } from "../../../../image/render/dirs.ts";
import { manifest } from "../../../../image/render/manifest.ts";
import { nginxConf } from "../../../../image/render/nginx.ts";
import { processCompose } from "../../../../image/render/process-compose.ts";
import { secrets, secretsManifest } from "../../../../image/render/secrets.ts";
import { users } from "../../../../image/render/users.ts";
import type { Acme, ImageSpec, Site } from "../../../../image/spec.ts";
import { spec } from "./spec.ts";

const acme: Acme = { email: "ada@example.org", directories: ["https://ca.example.org/dir"] };
const site = (host: string, more: Partial<Site> = {}): Site =>
  ({ kind: "redirect", host, to: "https://elsewhere.example.net", ...more }) as Site;
const ordered = site("www.example.org", { certificateFrom: "acme", aliases: ["example.org"] });
const fetched = site("shop.example.org");
const { tailnet: _, ...untailed } = spec;
const alone: ImageSpec = { ...untailed, sites: [ordered], luggage: {}, certificates: { acme } };
const both: ImageSpec = { ...spec, sites: [ordered, fetched], certificates: { ...spec.certificates, acme } };

const certsOf = (of: ImageSpec) => JSON.parse(certsConfig(of) ?? "{}") as Record<string, unknown>;

describe("the configuration of `pop certs`", () => {
  test("has the CA, the names of each site, and the resolver", () => {
    expect(certsOf(alone)).toEqual({
      acme: {
        directories: ["https://ca.example.org/dir"],
        email: "ada@example.org",
        nameServer: "127.0.0.1:1104",
        privateZones: ["corp.test"],
        peerPort: 1107,
        nginxCacheSeconds: 1,
        servedNames: ["example.org", "www.example.org"],
        certificates: [{ names: ["www.example.org", "example.org"] }],
      },
    });
  });

  test("has the time for which nginx caches certificates", () => {
    const { acme } = certsOf(alone) as { acme: { nginxCacheSeconds: number } };
    expect(nginxConf(alone)).toMatch(new RegExp(`ssl_certificate_cache .* valid=${acme.nginxCacheSeconds}s;`));
  });

  test("has optional settings only where the spec sets them", () => {
    const all = { ...acme, profile: "shortlived", eab: "acmeEab", share: "acmeShare", ca: "./home-ca.pem" };
    expect(certsOf({ ...alone, certificates: { acme: all } })).toMatchObject({
      acme: {
        profile: "shortlived",
        eabFile: "/run/secrets/acme.account",
        shareFile: "/run/secrets/acme.share",
        caFile: "/etc/pop/acme-ca.pem",
      },
    });
  });

  test("has where records are set, and wildcards then", () => {
    const dns = { server: "ns1.example.org:53", key: "pops", algorithm: "hmac-sha512", secret: "dnsKey" };
    const wild = { ...alone, sites: [site("*.example.org", { certificateFrom: "acme" })] };
    expect(certsOf({ ...wild, certificates: { acme: { ...acme, dns } } })).toMatchObject({
      acme: {
        dns: {
          server: "ns1.example.org:53",
          key: "pops",
          algorithm: "hmac-sha512",
          secretFile: "/run/secrets/acme.dns",
        },
        certificates: [{ names: ["*.example.org"] }],
      },
    });
    const bad = { ...dns, server: "ns1.example.org" };
    expect(() => certsOf({ ...wild, certificates: { acme: { ...acme, dns: bad } } })).toThrow(
      /not a host name or address/,
    );
  });

  test("keeps certificates from the vault separate", () => {
    expect(certsOf(both)).toMatchObject({
      acme: {
        certificates: [{ names: ["www.example.org", "example.org"] }],
        privateZones: ["corp.test", "tail.example"],
        // PEMs of the vault's are in the same directory, and must stay there.
        servedNames: ["example.org", "shop.example.org", "www.example.org"],
      },
      address: "https://vault.tail.example:8200",
      certificates: [{ host: "shop.example.org" }],
    });
  });

  test("leaves out a source that no site uses", () => {
    expect(certsOf({ ...both, sites: [fetched] })).not.toHaveProperty("acme");
    expect(certsOf({ ...both, sites: [ordered] })).not.toHaveProperty("address");
  });

  test("rejects a wildcard, as the last check after the configuration's", () => {
    const wild = { ...alone, sites: [site("*.example.org", { certificateFrom: "acme" })] };
    expect(() => certsConfig(wild)).toThrow(/not a host name/);
  });

  test("has no private zones if the root zone itself is forwarded", () => {
    const forwarded = { ...alone, dns: { forward: [{ zone: ".", servers: ["10.0.0.53"] }] } };
    expect(certsOf(forwarded)).toMatchObject({ acme: { privateZones: [] } });
  });
});

test("an external account is a secret that only `pop certs` can read; without an account there is no such secret", () => {
  expect(secrets(alone)).toEqual([]);
  const bound: ImageSpec = { ...alone, certificates: { acme: { ...acme, eab: "acmeEab" } } };
  expect(JSON.parse(secretsManifest(bound)).secrets).toMatchObject([
    { name: "acme.account", key: "acmeEab", owner: "certs", group: "certs", mode: "0400" },
  ]);
  expect(() => secrets({ ...alone, certificates: { acme: { ...acme, eab: "../x" } } })).toThrow(/not the name/);
  const sharing: ImageSpec = { ...alone, certificates: { acme: { ...acme, share: "acmeShare" } } };
  expect(JSON.parse(secretsManifest(sharing)).secrets).toMatchObject([
    { name: "acme.share", key: "acmeShare", owner: "certs", group: "certs", mode: "0400" },
  ]);
  expect(() => secrets({ ...alone, certificates: { acme: { ...acme, share: "../x" } } })).toThrow(
    /acme\.share.*not the name/,
  );
});

test("the key of DNS is a secret that `pop certs` alone reads", () => {
  const dns = { server: "ns1.example.org:53", key: "pops", secret: "dnsKey" };
  const set: ImageSpec = { ...alone, certificates: { acme: { ...acme, dns } } };
  expect(JSON.parse(secretsManifest(set)).secrets).toMatchObject([
    { name: "acme.dns", key: "dnsKey", owner: "certs", group: "certs", mode: "0400" },
  ]);
  const bad: ImageSpec = { ...alone, certificates: { acme: { ...acme, dns: { ...dns, secret: "../x" } } } };
  expect(() => secrets(bad)).toThrow(/not the name/);
});

test("account keys are in a private directory, challenges in one that nginx may enter", () => {
  const lines = dirs(users(alone), alone).split("\n");
  expect(lines).toContain("/var/lib/pop/acme certs:certs 0700");
  expect(lines).toContain("/run/pop/challenges certs:nginx 2750");
  expect(dirs(users(spec), spec)).not.toContain("acme");
});

test("it runs as user certs, with the variables that only the machine can provide", () => {
  const entrypoint = (of: ImageSpec): string[] => parse(processCompose(of)).processes.certs.entrypoint;
  const variables = ["POP_ADDRESSES", "POP_NAME", "FLY_APP_NAME", "FLY_PRIVATE_IP", "POP_PEER_RESOLVER"];
  expect(entrypoint(alone)).toEqual([
    "/usr/bin/runas",
    ...variables.flatMap((name) => ["-e", name]),
    "certs",
    "/usr/bin/pop",
    "certs",
    "--config",
    "/etc/pop/certs.json",
  ]);
  expect(entrypoint(spec)).not.toContain("-e");
});

test("it stops after nginx, which passes on challenges that arrive while the machine stops", () => {
  const needed = (of: ImageSpec) => parse(processCompose(of)).processes.nginx.depends_on;
  for (const of of [alone, both]) expect(needed(of).certs).toEqual({ condition: "process_started" });
  expect(needed(spec)).not.toHaveProperty("certs");
});

test("health knows which hosts have ordered certificates, and expects their status", () => {
  expect(JSON.parse(manifest(alone))).toMatchObject({
    acmeHosts: ["example.org", "www.example.org"],
    expects: ["acme"],
  });
  expect(JSON.parse(manifest(both))).toMatchObject({ expects: ["tailnet", "secrets", "certs", "acme"] });
  expect(JSON.parse(manifest(spec))).not.toHaveProperty("acmeHosts");
});

describe("port 80", () => {
  const servers = (of: ImageSpec): string[] =>
    nginxConf(of)
      .split(/^ {2}server \{$/m)
      .filter((text) => text.includes("listen 1101"));

  test("passes on challenges for names with ordered certificates only", () => {
    const [first = "", second = "", ...more] = servers(both).filter((text) => !text.includes("server_name _"));
    expect(more).toEqual([]);
    expect(first).toContain("server_name www.example.org;\n    server_name example.org;");
    expect(first).toContain(
      "location ^~ /.well-known/acme-challenge/ {\n      proxy_pass http://unix:/run/pop/challenges/socket;",
    );
    expect(first).toContain("location / {\n      return 301 https://$host$request_uri;");
    expect(second).toContain("server_name shop.example.org;");
    expect(second).not.toContain("acme");
  });

  test("has one default server, whichever site is the default", () => {
    for (const sites of [
      [{ ...ordered, default: true }, fetched],
      [ordered, { ...fetched, default: true }],
      [ordered, fetched],
    ] as Site[][])
      expect(servers({ ...both, sites }).filter((text) => text.includes("default_server"))).toHaveLength(1);
  });

  test("does not change in a stack without ACME", () => {
    expect(nginxConf(spec)).not.toContain("/run/pop/challenges");
  });
});

test("nothing that is rendered holds a key", () => {
  for (const text of Object.values(renderedFiles({ ...alone, certificates: { acme: { ...acme, eab: "acmeEab" } } })))
    expect(text).not.toMatch(/PRIVATE KEY|hmac/i);
});
