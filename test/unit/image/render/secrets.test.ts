import { expect, test } from "vitest";
import { certsConfig } from "../../../../image/render/certs.ts";
import { requiredKeys, secrets, secretsManifest } from "../../../../image/render/secrets.ts";
import type { Luggage } from "../../../../image/spec.ts";
import { spec } from "./spec.ts";

const carried: Luggage = { source: { kind: "files", dir: "." }, command: ["x"], env: {} };

test("an image needs the secrets of its parts, each readable only by its part", () => {
  const from = "secrets";
  expect(secrets(spec)).toEqual([
    { name: "collector/collectorToken", key: "collectorToken", owner: "luggage-collector", from },
    { name: "tailscaleAuthKey", key: "tailscaleAuthKey", owner: "root", from },
    { name: "vaultRoleId", key: "vaultRoleId", owner: "certs", from },
    { name: "vaultSecretId", key: "vaultSecretId", owner: "certs", from },
  ]);
  const { secrets: all } = JSON.parse(secretsManifest(spec));
  expect(all).toHaveLength(4);
  for (const it of all) expect(it).toMatchObject({ mode: "0400", group: it.owner, sopsFile: "/etc/pop/sealed.yaml" });
});

test("a minted auth key has a file of its own, and the user need not provide it", () => {
  const tailnet = { domain: "tail.example", tags: ["pop"], hostPrefix: "pop-", controlPlane: "tailscale" as const };
  const minted = { ...spec, tailnet };
  expect(requiredKeys(minted)).toEqual(["collectorToken", "vaultRoleId", "vaultSecretId"]);
  expect(requiredKeys(spec)).toEqual(["collectorToken", "tailscaleAuthKey", "vaultRoleId", "vaultSecretId"]);
  const files = JSON.parse(secretsManifest(minted)).secrets.map(({ name, sopsFile }: Record<string, string>) => [
    name,
    sopsFile,
  ]);
  expect(Object.fromEntries(files)).toMatchObject({
    tailscaleAuthKey: "/etc/pop/sealed-tailnet.yaml",
    vaultRoleId: "/etc/pop/sealed.yaml",
  });
});

test("a spec without secrets needs none", () => {
  expect(secrets({ luggage: { blog: carried } })).toEqual([]);
});

test("two pieces of luggage may have the same secret, each in a file of its own", () => {
  const luggage = { blog: { ...carried, secrets: ["token"] }, shop: { ...carried, secrets: ["token"] } };
  expect(secrets({ luggage }).map(({ name }) => name)).toEqual(["blog/token", "shop/token"]);
});

test.each(["", "../x", "a/b", "a b", "1a", "-a", "a".repeat(65)])("rejects %j as the name of a secret", (key) => {
  expect(() => secrets({ luggage: { blog: { ...carried, secrets: [key] } } })).toThrow(/not the name of a secret/);
});

test("every site's certificate is fetched from the vault, under its name there", () => {
  expect(JSON.parse(certsConfig(spec) ?? "")).toEqual({
    address: "https://vault.tail.example:8200",
    caFile: "/etc/pop/vault-ca.pem",
    roleIdFile: "/run/secrets/vaultRoleId",
    secretIdFile: "/run/secrets/vaultSecretId",
    mount: "kv",
    nameServer: "127.0.0.1:1104",
    path: "certbot/domains/{domain}",
    certificates: [
      { host: "api.example.org" },
      { host: "blog.example.org" },
      { host: "example.org" },
      { host: "shop.example.org", domain: "example.org" },
      { host: "status.example.org" },
      { host: "www.example.org" },
    ],
  });
});

test("rejects a vault address with a path or a token", () => {
  for (const address of ["https://vault.test/v1", "https://token@vault.test", "vault.test"])
    expect(() => certsConfig({ ...spec, certificates: { vault: { address, mount: "kv", path: "x" } } })).toThrow(
      /not an http or https URL/,
    );
});
