/** Certificates that PoPs order themselves: what the stack file takes, and what it becomes. */
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../../config/parse.ts";
import { configWarnings } from "../../../config/warnings.ts";
import type { ImageSpec } from "../../../image/spec.ts";

const acme = { email: "ada@example.org", terms: "agreed" };
const vault = { address: "https://vault.tail.example:8200" };
const origin = "https://web.tail.example:8443";
const [www, shop] = [
  { host: "www.example.org", aliases: ["Example.org"], origin },
  { host: "shop.example.org", origin },
];

const file = (more: Record<string, unknown>) => ({
  app: "my-edge",
  regions: { cdg: {} },
  sites: [www],
  secretsFile: "./secrets.yaml",
  ...more,
});
const imageOf = (more: Record<string, unknown>): ImageSpec => parseConfig(file(more)).image;
const mistakesOf = (more: Record<string, unknown>): string => {
  try {
    parseConfig(file(more));
    return "";
  } catch (error) {
    return (error as Error).message;
  }
};

describe("an authority", () => {
  test("is Let's Encrypt where nothing else is said", () => {
    expect(imageOf({ certificates: { acme } }).certificates).toEqual({
      acme: { email: "ada@example.org", directories: ["https://acme-v02.api.letsencrypt.org/directory"] },
    });
  });

  test("has words, a spelling, and others that stand in for it", () => {
    const all = {
      ...acme,
      directory: "staging",
      profile: "shortlived",
      eab: "acmeEab",
      share: "acmeShare",
      trust: "./home-ca.pem",
      fallback: ["letsencrypt", "HTTPS://CA.Home.example:443/acme/Directory"],
    };
    expect(imageOf({ certificates: { acme: all } }).certificates?.acme).toEqual({
      email: "ada@example.org",
      directories: [
        "https://acme-staging-v02.api.letsencrypt.org/directory",
        "https://acme-v02.api.letsencrypt.org/directory",
        "https://ca.home.example/acme/Directory",
      ],
      profile: "shortlived",
      eab: "acmeEab",
      share: "acmeShare",
      ca: "home-ca.pem",
    });
  });

  test("needs no secrets file, unless it wants an account made before, or shares", () => {
    const without = { secretsFile: "" };
    expect(mistakesOf({ ...without, certificates: { acme } })).toBe("");
    expect(mistakesOf({ ...without, certificates: { acme: { ...acme, eab: "acmeEab" } } })).toContain(
      "secretsFile is missing: certificates.acme needs acmeEab.",
    );
    expect(mistakesOf({ ...without, certificates: { acme: { ...acme, share: "acmeShare" } } })).toContain(
      "secretsFile is missing: certificates.acme needs acmeShare.",
    );
  });

  test.each([
    [
      "terms unsaid",
      { email: "ada@example.org" },
      "certificates.acme.terms is missing: expected agreed, once you have read",
    ],
    ["terms refused", { ...acme, terms: "no" }, 'certificates.acme.terms is "no": no such answer'],
    ["terms as a switch", { ...acme, terms: true }, "certificates.acme.terms is true: expected agreed"],
    ["no address", { terms: "agreed" }, "certificates.acme.email is missing: expected a mail address"],
    ["a name for an address", { ...acme, email: "ada" }, 'certificates.acme.email is "ada": expected one mail address'],
    ["two addresses", { ...acme, email: "a@b.org, c@d.org" }, "expected one mail address"],
    ["an unknown word", { ...acme, directory: "stagin" }, "expected letsencrypt, staging, or the https URL"],
    ["http", { ...acme, directory: "http://ca.example.org/dir" }, "must use https: ACME requests"],
    ["a query", { ...acme, directory: "https://ca.example.org/dir?x=1" }, "without query"],
    ["a password", { ...acme, directory: "https://a:b@ca.example.org/dir" }, "is a password in a URL"],
    ["a profile with a blank", { ...acme, profile: "short lived" }, "expected the name of a profile"],
    ["a secret that is not a key", { ...acme, eab: "a b" }, "certificates.acme.eab"],
    ["a shared secret that is not a key", { ...acme, share: "a b" }, "certificates.acme.share"],
    ["sharing as a switch", { ...acme, share: true }, "certificates.acme.share"],
    ["an absolute file", { ...acme, trust: "/etc/ca.pem" }, "certificates.acme.trust"],
    ["one authority twice", { ...acme, fallback: ["letsencrypt"] }, "this authority is listed already"],
    ["a misspelt key", { ...acme, profil: "x" }, "profile"],
  ])("is refused: %s", (_, written, says) => {
    expect(mistakesOf({ certificates: { acme: written } })).toContain(says);
  });

  test("and a vault are both there, or one of them", () => {
    expect(mistakesOf({ certificates: { acm: acme } })).toContain("certificates.acm: unknown key; did you mean acme?");
    expect(mistakesOf({ certificates: { acme, vault } })).toBe("");
  });
});

describe("a site's certificate", () => {
  const sources = (certificates: unknown, sites: unknown[]) =>
    imageOf({ certificates, sites }).sites.map(({ certificate, certificateFrom }) => certificateFrom ?? certificate);

  test("is the authority's where there is no vault", () => {
    expect(sources({ acme }, [www, { ...shop, certificate: { from: "acme" } }])).toEqual(["acme", "acme"]);
  });

  test("is the vault's where there is one, as before there was a choice", () => {
    const all = [www, { ...shop, certificate: "example.org" }];
    expect(sources({ vault }, all)).toEqual([undefined, "example.org"]);
    expect(sources({ acme, vault }, all)).toEqual([undefined, "example.org"]);
  });

  test("is whose the site says", () => {
    const all = [
      { ...www, certificate: { from: "acme" } },
      { ...shop, certificate: { from: "vault", name: "Example.org" } },
      { host: "*.apps.example.org", origin, certificate: { from: "vault", name: "apps.example.org" } },
    ];
    expect(sources({ acme, vault }, all)).toEqual(["acme", "example.org", "apps.example.org"]);
  });

  test.each([
    [
      "a source that is not there",
      { certificates: { vault }, sites: [{ ...www, certificate: { from: "acme" } }] },
      "sites[0].certificate is from acme, but certificates.acme is not set.",
    ],
    [
      "a name without a vault",
      { certificates: { acme }, sites: [{ ...www, certificate: "example.org" }] },
      "sites[0].certificate names a certificate in the vault, but certificates.vault is not set.",
    ],
    [
      "no source at all",
      { sites: [{ ...www, certificate: { from: "vault" } }] },
      "sites[0].certificate names a certificate in the vault, but certificates.vault is not set.",
    ],
    [
      "a name at an authority",
      { certificates: { acme }, sites: [{ ...www, certificate: { from: "acme", name: "example.org" } }] },
      "sites[0].certificate.name cannot be combined with from: acme",
    ],
    [
      "another source",
      { certificates: { acme }, sites: [{ ...www, certificate: { from: "acmee" } }] },
      "no such source; did you mean acme?",
    ],
    [
      "a list",
      { certificates: { acme }, sites: [{ ...www, certificate: ["acme"] }] },
      "sites[0].certificate is a list: expected a DNS name, as in example.org, or a map with from",
    ],
    [
      "a wildcard at an authority",
      { certificates: { acme }, sites: [{ host: "*.example.org", origin }] },
      'sites[0].host is "*.example.org": HTTP-01 proves single names only. Set certificates.acme.dns, or take the wildcard\'s certificate from the vault: set sites[0].certificate to { from: vault, name: example.org }.',
    ],
    [
      "a wildcard among aliases",
      { certificates: { acme }, sites: [{ ...www, aliases: ["*.example.org"] }] },
      'sites[0].aliases[0] is "*.example.org": HTTP-01 proves single names only',
    ],
    [
      "a wildcard of the vault without a name",
      { certificates: { acme, vault }, sites: [{ host: "*.example.org", origin }] },
      "a wildcard needs the name of its certificate in the vault. Set sites[0].certificate",
    ],
    [
      "more names than fit",
      {
        certificates: { acme },
        sites: [{ ...www, aliases: Array.from({ length: 100 }, (_, at) => `n${at}.example.org`) }],
      },
      "sites[0].aliases and host are 101 names in total, but an ACME certificate has at most 100.",
    ],
  ])("is refused: %s", (_, written, says) => {
    expect(mistakesOf(written)).toContain(says);
  });
});

describe("records of DNS", () => {
  const dns = { server: "NS1.Example.org:53", key: "pops", secret: "dnsKey" };

  test("prove names, wildcards among them", () => {
    const image = imageOf({
      certificates: { acme: { ...acme, dns } },
      sites: [www, { host: "*.apps.example.org", origin }],
    });
    expect(image.certificates?.acme?.dns).toEqual({ server: "ns1.example.org:53", key: "pops", secret: "dnsKey" });
    expect(image.sites.map(({ certificateFrom }) => certificateFrom)).toEqual(["acme", "acme"]);
  });

  test.each<[string, Record<string, unknown>, string]>([
    [
      "a server without a port",
      { ...dns, server: "ns1.example.org" },
      'acme.dns.server is "ns1.example.org": needs a port',
    ],
    ["a server on the PoP itself", { ...dns, server: "127.0.0.1:53" }, "leads to the PoP itself"],
    ["a key of words", { ...dns, key: "my key" }, 'acme.dns.key is "my key": expected the name of a key'],
    ["an algorithm that is broken", { ...dns, algorithm: "hmac-md5" }, "acme.dns.algorithm"],
    ["a near miss of an algorithm", { ...dns, algorithm: "hmac-sha265" }, "did you mean hmac-sha256?"],
    ["the secret itself", { ...dns, secret: "c2VjcmV0" + "LW9mLXRoZS1rZXk=" }, "acme.dns.secret"],
    ["no secret", { server: dns.server, key: dns.key }, "certificates.acme.dns.secret is missing"],
    [
      "another key",
      { ...dns, port: 53 },
      "certificates.acme.dns.port: unknown key. Allowed keys: server, key, algorithm, secret.",
    ],
  ])("are refused: %s", (_, written, says) => {
    expect(mistakesOf({ certificates: { acme: { ...acme, dns: written } } })).toContain(says);
  });

  test("need a file of secrets", () => {
    expect(mistakesOf({ certificates: { acme: { ...acme, dns } }, secretsFile: undefined })).toContain(
      "certificates.acme.dns needs dnsKey",
    );
  });
});

test("more PoPs than Let's Encrypt gives certificates a week are warned of", () => {
  const warningsOf = (replicas: number, more = {}) =>
    configWarnings(
      parseConfig(file({ regions: { cdg: { replicas } }, certificates: { acme: { ...acme, ...more } } })),
      "test",
    ).filter((it) => it.includes("Let's Encrypt"));
  expect(warningsOf(5)).toEqual([]);
  expect(warningsOf(6, { directory: "https://ca.example.org/dir" })).toEqual([]);
  expect(warningsOf(6, { share: "acmeShare" })).toEqual([]);
  expect(warningsOf(6)).toEqual([
    "6 PoPs order a certificate each for the same names, and Let's Encrypt gives 5 a week, then one every 34 hours: the last PoP has its own after 34 hours; until then a PoP in service shows self-signed certificates, which browsers warn of; a new PoP gets no visitors as long as others serve, and its deployment fails after rollout.timeout. Have the PoPs share one (certificates.acme.share) or take certificates.vault, which has one for all (docs/secrets.md#certificates), name another authority under certificates.acme.fallback, or add PoPs a few a week.",
  ]);
});
