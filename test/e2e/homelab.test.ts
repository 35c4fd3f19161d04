import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fetchPage } from "../../local/fetch-page.ts";
import { type Checkout, type CommandResult, checkout } from "../support/checkout.ts";
import { homelabContainer, popContainer, rootsOf, servedCertificate, waitUntil } from "../support/homelab.ts";
import { load } from "../support/load.ts";
import { documentedMetrics, familiesOf } from "../support/metrics.ts";
import { bootsAlone, outages, survives } from "../support/outages.ts";
import { hitsIn, hunt, outputsOf, secretsOf } from "../support/secret-scan.ts";

// One stack, two PoPs; each test leaves it serving.
let it: Checkout;
let first: CommandResult;
const host = "www.example.test";

beforeAll(async () => {
  it = await checkout();
  for (const name of ["operator", "stranger"])
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(it.dir, name)]);
  const authorizedKeys = JSON.stringify([it.read("operator.pub").trim()]);
  it.editStack("config:\n", `config:\n  fly-pops:ssh: {authorizedKeys: ${authorizedKeys}}\n`);
  first = await it.run();
  expect(first.code, first.output).toBe(0);
});
afterAll(async () => {
  await it?.run("down");
  it?.remove();
});

/** Writes a pair as the vault's next version, as an operator would. */
async function putInVault(domain: string, pair: { key: string; chain: string }): Promise<void> {
  const lab = await homelabContainer(it);
  const put = `export BAO_ADDR=https://127.0.0.1:8200 BAO_CACERT=/data/ca/ca.pem
    BAO_TOKEN=$(bao write -field=token auth/approle/login role_id=@/data/keys/operator-role-id secret_id=@/data/keys/operator-secret-id)
    export BAO_TOKEN; exec bao kv put -mount=kv certbot/domains/${domain} -`;
  await lab.exec(["sh", "-c", put], JSON.stringify(pair));
}

const askPop = async (name: string, path: string) => {
  const place = await popContainer(it, name);
  return place.exec(["wget", "-q", "-O", "-", `http://127.0.0.1:1105${path}`]);
};

const healthOf = async (name: string) => {
  const text = await askPop(name, "/healthz");
  return JSON.parse(text) as { status: string; parts: Record<string, { status: string; reason?: string }> };
};

test("from nothing it ends in a page fetched, then cached, by the nearest PoP", () => {
  expect(first.output).toMatch(/HTTP 200 {2}MISS {2}from cdg-1 in \d+ ms\n {2}HTTP 200 {2}HIT {3}from cdg-1 in \d+ ms/);
});

test("the first page was there while the homelab was not, and is served on", async () => {
  const shown = first.output.lastIndexOf("First page, over HTTPS, twice");
  expect(shown).toBeGreaterThan(0);
  expect(first.output.indexOf("Start the homelab")).toBeGreaterThan(shown);
  expect(first.output).toMatch(/HTTP 200 {2}MISS {2}from cdg-1[\s\S]*with tailnet and vault \(pulumi up\): /);
  expect(first.output).toMatch(/about .* left, first page in .*, everything in /);
  const status = await it.status();
  const direct = "direct.example.test";
  expect(await fetchPage(status.edge.https, direct, rootsOf(status))).toMatchObject({ status: 200, cache: "HIT" });
  expect((await servedCertificate(status, direct)).issuer).toContain("Pebble");
});

test("a homelab that is there is not taken away by --no-homelab", async () => {
  const { code, output } = await it.run("--no-homelab");
  expect(code).toBe(1);
  expect(output).toContain("--no-homelab: the PoPs have tailnet and vault already. Nothing was changed.");
});

test("every site has a certificate of the authority at home, and none other is taken", async () => {
  const status = await it.status();
  const ca = rootsOf(status);
  expect(await fetchPage(status.edge.https, host, ca)).toMatchObject({ status: 200, pop: "cdg-1" });
  expect(await fetchPage(status.edge.https, "example.test", ca)).toMatchObject({ status: 301 });
  const home = readFileSync(join(it.dir, ".cache/local/home/ca.pem"), "utf8");
  await expect(fetchPage(status.edge.https, host, home)).rejects.toThrow(/certificate/);
});

test("every part of every PoP is well", async () => {
  for (const name of ["cdg-1", "ewr-1"])
    await waitUntil(
      30,
      () => healthOf(name),
      ({ status }) => status === "ok",
    );
});

test("status shows the way from each PoP to the origin, and how long an answer takes", async () => {
  const look = async () => {
    const { out } = await it.flyPops(["status", "--json"]);
    return (JSON.parse(out) as { pops: { origins: { node: string; path: string; latencyMs: number }[] }[] }).pops;
  };
  await waitUntil(90, look, (pops) =>
    pops.every(({ origins }) => origins.length > 0 && origins.every(({ path }) => path)),
  );
  for (const { origins } of await look())
    for (const way of origins)
      expect(way).toMatchObject({ node: "home", path: "direct", latencyMs: expect.toSatisfy((ms: number) => ms > 0) });
});

test("every metric of docs/metrics.md is there, those of tailnet and vault too, and none is left untold", async () => {
  const text = await askPop("cdg-1", "/metrics");
  expect(familiesOf(text)).toEqual([...documentedMetrics.withTailnet, ...documentedMetrics.vault].toSorted());
  expect(text).toMatch(/^pop_origin_direct\{.*node="home".*\} 1$/m);
});

test("a PoP that was logged out by a spent key, and has a good one of its own, comes back by itself", async () => {
  const place = await popContainer(it, "cdg-1");
  const up = ["up", "--reset", "--timeout=10s", "--hostname=pop-cdg-1", "--accept-dns=false", "--netfilter-mode=off"];
  const spent = [
    "--login-server=https://headscale.home.internal:8443",
    "--auth-key=file:/run/secrets/tailscaleAuthKey",
  ];
  const tailscale = ["/usr/bin/tailscale", "--socket=/run/tailscale/tailscaled.sock"];
  await expect(place.exec([...tailscale, ...up, ...spent, "--force-reauth"])).rejects.toThrow();
  const reason = async () => (await healthOf("cdg-1")).parts.tailnet?.reason ?? "";
  await waitUntil(30, reason, (text) => text.includes("tailscaled is logged out although the node's key is good"));
  // It is looked after once a minute.
  await waitUntil(
    120,
    () => healthOf("cdg-1"),
    ({ status }) => status === "ok",
  );
});

test("the origin is to be had in the tailnet, by PoPs alone", async () => {
  const place = await popContainer(it, "cdg-1");
  const network = (await (await homelabContainer(it)).container.inspect()).NetworkSettings.Networks;
  const outside = Object.values(network)[0]?.IPAddress;
  // Connects, says nothing, and hangs up.
  const reaches = (address: string, port: number) => place.exec(["sh", "-c", `nc -w 3 ${address} ${port} < /dev/null`]);
  await expect(reaches(`${outside}`, 8080)).rejects.toThrow();
  await expect(reaches(`${outside}`, 8200)).rejects.toThrow();
  const lab = await homelabContainer(it);
  const address = await lab.exec(["cat", "/run/home/address"]);
  await reaches(address.trim(), 8080);
  // Not all of the home's node either: what the tailnet's policy does not name is shut.
  await expect(reaches(address.trim(), 8443)).rejects.toThrow();
});

describe("ssh to a PoP, over the tailnet by way of the homelab", () => {
  const ssh = async (name: string, key: string, options: string[] = []) => {
    const all = [`IdentityFile=${join(it.dir, key)}`, "IdentitiesOnly=yes", "BatchMode=yes", ...options];
    return it.flyPops(["ssh", ...all.flatMap((option) => ["-o", option]), name, "--", "hostname; exit 7"]);
  };

  test("its key is the one the stack knows, and the program's exit code is ours", async () => {
    const { machines } = await it.status();
    const id = machines.find(({ name }) => name === "ewr-1")?.id;
    expect(await ssh("ewr-1", "operator")).toMatchObject({ code: 7, out: `${id}\n` });
  });

  test("somebody else's key does not open it", async () => {
    const { code, out, err } = await ssh("cdg-1", "stranger");
    expect({ code, out }).toEqual({ code: 255, out: "" });
    expect(err).toContain("Permission denied (publickey)");
  });

  test("a PoP that answers in another's name is not spoken to", async () => {
    const { code, out, err } = await ssh("cdg-1", "operator", [
      "ProxyCommand=node local/homelab/ssh-proxy.ts pop-ewr-1 %p",
    ]);
    expect({ code, out }).toEqual({ code: 255, out: "" });
    expect(err).toContain("Host key verification failed");
  });
});

test("a certificate renewed under load is served within a minute, and no request fails", async () => {
  const status = await it.status();
  const before = await servedCertificate(status, host);
  const stop = load(status.edge.https, rootsOf(status));
  const lab = await homelabContainer(it);
  await lab.exec(["certbot-to-vault", "run", "--config", "/run/home/certbot-to-vault.toml", "--renew", host]);
  await waitUntil(
    60,
    () => servedCertificate(status, host),
    (now) => now.serialNumber !== before.serialNumber,
  );
  const { requests, failures } = await stop();
  expect(failures).toEqual([]);
  expect(requests).toBeGreaterThan(100);
});

test("a pair in the vault that does not belong together is refused, health says so, and the old one goes on", async () => {
  const status = await it.status();
  await waitUntil(
    60,
    () => healthOf("cdg-1"),
    ({ status }) => status === "ok",
  );
  const before = await servedCertificate(status, host);
  const lab = await homelabContainer(it);
  const live = `/data/certbot/live/${host}`;
  const [key, chain] = await Promise.all([
    lab.exec(["cat", "/data/certbot/live/example.test/privkey.pem"]),
    lab.exec(["cat", `${live}/fullchain.pem`]),
  ]);
  await putInVault(host, { key, chain });
  await waitUntil(
    60,
    () => healthOf("cdg-1"),
    ({ parts }) => /refused/.test(parts.certificates?.reason ?? ""),
  );
  expect((await servedCertificate(status, host)).serialNumber).toBe(before.serialNumber);
  expect(await fetchPage(status.edge.https, host, rootsOf(status))).toMatchObject({ status: 200 });
  // The feeder's next check fixes it.
  await lab.exec(["certbot-to-vault", "run", "--config", "/run/home/certbot-to-vault.toml"]);
  await waitUntil(
    60,
    () => healthOf("cdg-1"),
    ({ status }) => status === "ok",
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
