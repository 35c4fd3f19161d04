/** A day of the local stack with its homelab: keys are spent, certificates renewed or wrong, a PoP boots alone, components of the homelab are down. */
import { X509Certificate } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fetchPage } from "../../local/page/fetch-page.ts";
import { type Checkout, checkout } from "../support/checkout.ts";
import type { Health } from "../support/health.ts";
import { healthOf, homelabContainer, popContainer, rootsOf, servedCertificate } from "../support/homelab.ts";
import { load } from "../support/load.ts";
import { bootsAlone, outages, survives } from "../support/outages.ts";
import { hitsIn, hunt, outputsOf, secretsOf } from "../support/secret-scan.ts";
import { until } from "../support/until.ts";

// One stack, two PoPs; each test leaves it serving.
let it: Checkout;
const host = "www.example.test";

beforeAll(async () => {
  it = await checkout();
  const { code, output } = await it.run();
  expect(code, output).toBe(0);
});
afterAll(async () => {
  await it?.run("down");
  it?.remove();
});

/** Of the certificate that a PoP reports for a site. */
function serialOf(certificates: Health["certificates"], site: string): bigint | undefined {
  const serial = certificates.find((it) => it.host === site)?.serial;
  return serial === undefined ? undefined : BigInt(`0x${serial}`);
}

/** Writes a pair as the vault's next version, as an operator would. */
async function putInVault(domain: string, pair: { key: string; chain: string }): Promise<void> {
  const lab = await homelabContainer(it);
  const put = `export BAO_ADDR=https://127.0.0.1:8200 BAO_CACERT=/data/ca/ca.pem
    BAO_TOKEN=$(bao write -field=token auth/approle/login role_id=@/data/keys/operator-role-id secret_id=@/data/keys/operator-secret-id)
    export BAO_TOKEN; exec bao kv put -mount=kv certbot/domains/${domain} -`;
  await lab.exec(["sh", "-c", put], JSON.stringify(pair));
}

test("a PoP that was logged out by a spent key, and has a good one of its own, comes back by itself", async () => {
  const place = await popContainer(it, "cdg-1");
  const up = ["up", "--reset", "--timeout=10s", "--hostname=pop-cdg-1", "--accept-dns=false", "--netfilter-mode=off"];
  const spent = [
    "--login-server=https://headscale.home.internal:8443",
    "--auth-key=file:/run/secrets/tailscaleAuthKey",
  ];
  const tailscale = ["/usr/bin/tailscale", "--socket=/run/tailscale/tailscaled.sock"];
  await expect(place.exec([...tailscale, ...up, ...spent, "--force-reauth"])).rejects.toThrow();
  const reason = async () => (await healthOf(it, "cdg-1")).components.tailnet?.reason ?? "";
  await until(reason, (text) => text.includes("tailscaled is logged out although the node's key is good"), {
    seconds: 30,
    everyMs: 250,
    retriesErrors: true,
  });
  // It is looked after once a minute.
  await until(
    () => healthOf(it, "cdg-1"),
    ({ status }) => status === "ok",
    { seconds: 120, everyMs: 250, retriesErrors: true },
  );
});

test("a certificate renewed under load is served within a minute, and no request fails", async () => {
  const status = await it.status();
  const before = await servedCertificate(status, host);
  const stop = load(status.edge.https, rootsOf(status));
  const lab = await homelabContainer(it);
  await lab.exec(["certbot-to-vault", "run", "--config", "/run/home/certbot-to-vault.toml", "--renew", host]);
  await until(
    () => servedCertificate(status, host),
    (now) => now.serialNumber !== before.serialNumber,
    { seconds: 60, everyMs: 250, retriesErrors: true },
  );
  const { requests, failures } = await stop();
  expect(failures).toEqual([]);
  expect(requests).toBeGreaterThan(100);
});

test("a pair in the vault that does not belong together is refused, health says so, and the old one goes on", async () => {
  const status = await it.status();
  const lab = await homelabContainer(it);
  const live = `/data/certbot/live/${host}`;
  const [key, chain] = await Promise.all([
    lab.exec(["cat", "/data/certbot/live/example.test/privkey.pem"]),
    lab.exec(["cat", `${live}/fullchain.pem`]),
  ]);
  const before = new X509Certificate(chain);
  // Both PoPs, since each polls the vault at its own times and either may be the one that answers below.
  for (const name of ["cdg-1", "ewr-1"])
    await until(
      () => healthOf(it, name),
      ({ status, certificates }) =>
        status === "ok" && serialOf(certificates, host) === BigInt(`0x${before.serialNumber}`),
      { seconds: 60, everyMs: 250, retriesErrors: true, what: `the certificate renewed before, at ${name}` },
    );
  await putInVault(host, { key, chain });
  await until(
    () => healthOf(it, "cdg-1"),
    ({ components }) => /the key does not belong to/.test(components.certificates?.reason ?? ""),
    { seconds: 60, everyMs: 250, retriesErrors: true },
  );
  expect((await servedCertificate(status, host)).serialNumber).toBe(before.serialNumber);
  expect(await fetchPage(status.edge.https, host, rootsOf(status))).toMatchObject({ status: 200 });
  // The feeder's next check fixes it.
  await lab.exec(["certbot-to-vault", "run", "--config", "/run/home/certbot-to-vault.toml"]);
  await until(
    () => healthOf(it, "cdg-1"),
    ({ status }) => status === "ok",
    { seconds: 60, everyMs: 250, retriesErrors: true },
  );
});

test("a PoP that boots again serves from its volume while home is down", async () => {
  await bootsAlone(it, { seconds: 60 });
});

test("the homelab knows after a start what it knew before, and the file of roots has the new one beside the old", async () => {
  const before = rootsOf(await it.status());
  const { code, output } = await it.run();
  expect(code, output).toBe(0);
  expect(output).toContain("no change");
  const roots = rootsOf(await it.status()).match(/-----BEGIN[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  expect(roots.length).toBeGreaterThan(1);
  expect(roots.map((pem) => new X509Certificate(pem).subject)).toHaveLength(new Set(roots).size);
  expect(rootsOf(await it.status())).toContain(before.trim().split("\n")[1]);
});

test.each(outages.slice(0, 3))("some seconds while $what is down", async (outage) => {
  await survives(it, outage, 4);
});

test("no secret is in state, outputs, previews, logs, arguments, environments, images or volumes", async () => {
  const secrets = await secretsOf(it);
  const found = await hunt(it, secrets, outputsOf(it));
  expect(found.hits).toEqual([]);
  expect(found.places).toBeGreaterThan(20);
  // It does find what is there.
  expect(hitsIn(Object.values(secrets).join("\n"), secrets)).toEqual(Object.keys(secrets));
});
