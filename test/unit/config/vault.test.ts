/** Where a vault is, and what it calls things: from the stack file to /etc/pop/certs.json. */
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../../config/parse.ts";
import { time } from "../../../config/time.ts";
import { certsConfig } from "../../../image/render/certs.ts";

const rendered = (vault: object): Record<string, unknown> => {
  const file = {
    app: "my-edge",
    regions: { cdg: {} },
    sites: [{ host: "www.example.org", origin: "https://web.tail.example:8443" }],
    secretsFile: "./secrets.yaml",
    certificates: { vault: { address: "https://vault.tail.example:8200", ...vault } },
  };
  return JSON.parse(certsConfig(parseConfig(file).image) ?? "") as Record<string, unknown>;
};

const usual = {
  address: "https://vault.tail.example:8200",
  nameServer: "127.0.0.1:1104",
  roleIdFile: "/run/secrets/vaultRoleId",
  secretIdFile: "/run/secrets/vaultSecretId",
  mount: "kv",
  path: "certbot/domains/{domain}",
  certificates: [{ host: "www.example.org" }],
};

describe("a vault", () => {
  test("as before: nothing new is in its image, whose PoPs would be updated for nothing", () => {
    expect(rendered({})).toEqual(usual);
  });

  test.each([
    ["a namespace", { namespace: "edge/eu" }],
    ["another mount of AppRole", { authMount: "approle-edge" }],
    ["a KV store of version 1", { kvVersion: 1 }],
    ["fields of other names", { fields: { key: "private_key", certificate: "certificate", chain: "ca_chain" } }],
    ["one field for all", { fields: { pem: "pem" } }],
    ["another mount and path", { mount: "tls", path: "edge/{domain}/current" }],
  ])("has %s", (_, vault) => {
    expect(rendered(vault)).toEqual({ ...usual, ...vault });
  });

  test("has the lifetime of the secret_id, by days or to the second", () => {
    expect(rendered({ secretId: { created: "2026-11-29", ends: "2027-02-27T12:30:00Z" } })).toEqual({
      ...usual,
      secretId: { createdAt: "2026-11-29T00:00:00.000Z", endsAt: "2027-02-27T12:30:00.000Z" },
    });
  });
});

describe("a point in time", () => {
  test.each(["2026-11-29", "2024-02-29", "2026-11-29T12:00Z", "2026-11-29T23:59:59Z"])("%s is one", (text) => {
    expect(time(text)).toBe(Date.parse(text));
  });
  test.each(["2026-11-29 00:00:00 +0000 UTC", "2027-02-27 12:30:00 +0000 UTC"])(
    "%s is one, as Pulumi's CLI writes what has no quotes",
    (text) => {
      expect(time(text)).toBe(Date.parse(`${text.slice(0, 10)}T${text.slice(11, 19)}Z`));
    },
  );
  test.each([
    "2026-11-29 00:00:00 +0100 CET",
    "2026-02-30",
    "2026-2-3",
    "2026-11-29T24:01:00Z",
    "2026-11-29T12:00:00+01:00",
    "2026-11-29 12:00",
    "tomorrow",
    "1795910400",
    "",
    "2026-13-01",
  ])("%j is not a time", (text) => {
    expect(time(text)).toBeUndefined();
  });
});
