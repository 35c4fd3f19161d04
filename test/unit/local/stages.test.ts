import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { parseStackValues } from "../../../config/stack-values.ts";
import { pageHost, siteHosts } from "../../../local/stack/stack-file.ts";
import { type Asked, stagesOf, withoutHomelab } from "../../../local/stack/stages.ts";

const root = join(import.meta.dirname, "../../..");
const { config: local } = parse(readFileSync(join(root, "Pulumi.local.yaml"), "utf8")) as {
  config: Record<string, unknown>;
};

const origin = "http://origin.example.test:8080";

describe("Pulumi.local.yaml without the homelab", () => {
  const kept = withoutHomelab(local, origin) ?? {};
  const { image, pops } = parseStackValues(kept);

  test("is a stack file with an origin at an address, and certificates that the PoPs order themselves", () => {
    expect(image.sites.map(({ host, certificateFrom }) => [host, certificateFrom])).toEqual([
      ["direct.example.test", "acme"],
    ]);
    expect(image.sites).toMatchObject([{ origins: [origin] }]);
    expect(image.certificates?.acme?.directories).toEqual(["https://authority.example.test:14000/dir"]);
  });

  test("has no tailnet, no vault and no secrets", () => {
    expect(image.tailnet).toBeUndefined();
    expect(image.certificates?.vault).toBeUndefined();
    expect(Object.keys(kept)).not.toContain("fly-pops:secretsFile");
  });

  test("has the same PoPs, and everything else as it is", () => {
    expect(pops).toEqual(parseStackValues(local).pops);
    const parts = ["tailnet", "secretsFile", "sites", "certificates"].map((key) => `fly-pops:${key}`);
    const others = (values: object) => Object.entries(values).filter(([key]) => !parts.includes(key));
    expect(others(kept)).toEqual(others(local));
  });
});

test("with the homelab the vault has the certificates of all other sites", () => {
  const whole = parseStackValues(local);
  expect(siteHosts(whole, "vault")).toEqual(["www.example.test", "example.test"]);
  expect(siteHosts(whole, "acme")).toEqual(["direct.example.test"]);
  expect(siteHosts(whole)).toEqual(["www.example.test", "direct.example.test", "example.test"]);
  expect([pageHost(whole, "acme"), pageHost(whole, "vault")]).toEqual(["direct.example.test", "www.example.test"]);
  const redirects = {
    ...whole,
    image: { ...whole.image, sites: whole.image.sites.filter(({ kind }) => kind !== "proxy") },
  };
  expect(pageHost(redirects, "vault")).toBeUndefined();
});

test("an origin that is not in the tailnet stays as it is", () => {
  const site = { host: "a.example.test", origin: "http://192.168.1.20:3000", certificate: { from: "acme" } };
  expect(withoutHomelab({ ...local, "fly-pops:sites": [site] }, origin)).toMatchObject({ "fly-pops:sites": [site] });
});

const [home, other, outside] = ["http://home.tail.internal:8080", "http://other.tail.internal", "http://192.0.2.7:80"];

test.each<[string, object, object]>([
  ["one of a list", { origin: [outside, home] }, { origin: [outside, origin] }],
  ["all of a list, which names none twice", { origin: [home, other] }, { origin: [origin] }],
  ["a list outside", { origin: [outside] }, { origin: [outside] }],
  [
    "those of rules by path, and nothing else of them",
    {
      origin: home,
      paths: [
        { path: "/a/", origin: home },
        { path: "/b/", origin: [other, outside] },
        { path: "/c/", deny: true },
      ],
    },
    {
      origin,
      paths: [
        { path: "/a/", origin },
        { path: "/b/", origin: [origin, outside] },
        { path: "/c/", deny: true },
      ],
    },
  ],
  ["a domain that only ends alike", { origin: "http://hometail.internal" }, { origin: "http://hometail.internal" }],
  ["what no origin is", { origin: ["", 7], paths: "x" }, { origin: ["", 7], paths: "x" }],
  ["no origin", { files: "www" }, { files: "www" }],
])("origins in the tailnet give way: %s", (_, written, kept) => {
  const site = { host: "a.example.test", certificate: { from: "acme" } };
  const { "fly-pops:sites": sites } =
    withoutHomelab({ ...local, "fly-pops:sites": [{ ...site, ...written }] }, origin) ?? {};
  expect(sites).toEqual([{ ...site, ...kept }]);
});

test("a site with several origins, and rules with their own, is one that the program takes", () => {
  const paths = [{ path: "/api/", origin: [home, other] }];
  const site = { host: "a.example.test", origin: [home, other], certificate: { from: "acme" }, paths };
  const { image } = parseStackValues(withoutHomelab({ ...local, "fly-pops:sites": [site] }, origin) ?? {});
  expect(image.sites).toMatchObject([{ origins: [origin], paths: [{ origins: [origin] }] }]);
});

test("SSH is of the tailnet, and goes with it", () => {
  const values = { ...local, "fly-pops:ssh": { authorizedKeys: ["ssh-ed25519 AAAA"] } };
  expect(withoutHomelab(values, origin)).toEqual(withoutHomelab(local, origin));
});

test.each([
  ["no certificates", { "fly-pops:certificates": undefined }],
  ["no authority", { "fly-pops:certificates": { vault: {} } }],
  ["no site at all", { "fly-pops:sites": [] }],
  ["no site of that authority", { "fly-pops:sites": [{ host: "www.example.test", certificate: { from: "vault" } }] }],
  ["invalid sites", { "fly-pops:sites": "x" }],
])("%s: nothing holds without the homelab", (_, values) => {
  expect(withoutHomelab({ ...local, ...values }, origin)).toBeUndefined();
});

const asked: Asked = { deployed: "nothing", homelab: true, hasFirst: true };

test.each<[string, Partial<Asked>, string[]]>([
  ["from nothing", {}, ["first", "homelab"]],
  ["after a first stage, or one that was interrupted", { deployed: "first" }, ["first", "homelab"]],
  ["with all of it deployed", { deployed: "homelab" }, ["homelab"]],
  ["when the stack file has nothing for a first page", { hasFirst: false }, ["homelab"]],
  ["from nothing, without a homelab", { homelab: false }, ["first"]],
  ["once more, without a homelab", { homelab: false, deployed: "first" }, ["first"]],
])("%s", (_, over, stages) => {
  expect(stagesOf({ ...asked, ...over })).toEqual(stages);
});

test("a homelab that is there is not taken away by an option", () => {
  expect(() => stagesOf({ ...asked, homelab: false, deployed: "homelab" })).toThrow(
    "--no-homelab: the PoPs have tailnet and vault already. Nothing was changed. Leave the option out, or start from nothing: npm run local -- down",
  );
});

test("without a homelab and without a site that holds without it, there is nothing to do", () => {
  expect(() => stagesOf({ ...asked, homelab: false, hasFirst: false })).toThrow(
    "--no-homelab: no site of Pulumi.local.yaml has a certificate that the PoPs order themselves. Nothing was changed. Give one `certificate: { from: acme }`, under fly-pops:sites.",
  );
});
