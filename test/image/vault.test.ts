/** PoPs that have their certificates from a real vault: set up as docs/secrets.md says, with a secret_id that ends, and in odd places under odd names. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DetailedPeerCertificate } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ImageSpec, Vault as VaultSpec } from "../../image/spec.ts";
import type { Health } from "../support/health.ts";
import { documentedMetrics, familiesOf } from "../support/metrics.ts";
import { processCompose } from "../support/process-compose.ts";
import { until } from "../support/until.ts";
import { enterTls } from "./support/client.ts";
import { build, health, ImageHarness, type Pop } from "./support/pop.ts";
import { startVault, type Vault } from "./support/vault.ts";

const network = { name: "fly-pops-vault", subnet: "172.31.242.0/24", gateway: "172.31.242.1" };
const port = 25_420;
const host = "www.vault.example";
const place = `certbot/domains/${host}`;

const harness = new ImageHarness("vault");
let vault: Vault;

const specOf = (more: Partial<VaultSpec>): ImageSpec => ({
  sites: [{ kind: "files", host, dir: "site" }],
  luggage: {},
  dns: { forward: [] },
  cache: { maxSizeMb: 64, indexMb: 1 },
  certificates: {
    vault: { address: `http://${network.gateway}:${port}`, mount: "kv", path: "certbot/domains/{domain}", ...more },
  },
});

/** What docs/secrets.md tells to do, with the policy it shows. */
const section = /^### The vault$(.*?)^### /ms.exec(
  readFileSync(new URL("../../docs/secrets.md", import.meta.url), "utf8"),
)?.[1];
const [policy = ""] = /(?<=^```hcl\n).*?(?=^```)/ms.exec(section ?? "") ?? [];
const lines = (/(?<=^```sh\n).*?(?=^```)/ms.exec(section ?? "")?.[0] ?? "").trim().split("\n");

beforeAll(async () => {
  await harness.sweep();
  await harness.createNetwork(network);
  vault = await startVault(network.gateway, port);
});
afterAll(async () => {
  await harness.sweep();
  await vault?.close();
});

interface Credentials {
  role: string;
  secret: string;
}

/** As `pop-secrets` leaves them, at once for both. */
async function give(pop: Pop, { role, secret }: Credentials): Promise<void> {
  const write = Object.entries({ vaultRoleId: role, vaultSecretId: secret }).map(
    ([name, value]) =>
      `printf %s '${value}' > /run/secrets/${name}.new && chown certs:certs /run/secrets/${name}.new && chmod 0400 /run/secrets/${name}.new && mv /run/secrets/${name}.new /run/secrets/${name}`,
  );
  const { code, output } = await pop.exec(["/bin/sh", "-c", ["mkdir -p -m 0751 /run/secrets", ...write].join(" && ")]);
  if (code !== 0) throw new Error(output);
}

type Report = Health & {
  vaultSecretId?: { createdAt?: string; endsAt?: string; usesLeft?: number; gone?: boolean; unknown?: string };
};
const reportOf = async (pop: Pop): Promise<Report | undefined> => (await health(pop))?.report;
const untilTold = (pop: Pop, reported: (report: Report) => boolean): Promise<Report | undefined> =>
  until(
    () => reportOf(pop),
    (report) => report !== undefined && reported(report),
    { seconds: 60 },
  );

/** Nothing unseals secrets here, and the component of that name says so. */
const isWell = ({ components }: Report): boolean =>
  ["nginx", "certs", "certificates"].every((name) => components[name]?.status === "ok");

/** A PoP that asks the vault as often as it may, not every half a minute. */
async function start(name: string, more: Partial<VaultSpec>): Promise<Pop> {
  const image = await build(name, specOf(more), {
    alter(context) {
      const file = join(context, "config/etc/pop/certs.json");
      writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), intervalSeconds: 5 }));
    },
  });
  return harness.start(image, { volume: await harness.newVolume(), networkName: network.name });
}

const restartCerts = (pop: Pop) => pop.exec(processCompose("restart", "certs"));

/** Subjects of what a visitor who trusts the root is sent, the root itself left out. */
async function chainOf(pop: Pop): Promise<string[]> {
  const socket = await enterTls(pop.https, { servername: host, ca: vault.root, rejectUnauthorized: true });
  const names: string[] = [];
  let it: DetailedPeerCertificate = socket.getPeerCertificate(true);
  while (it.issuerCertificate !== undefined && it.issuerCertificate !== it) {
    names.push(String(it.subject.CN));
    it = it.issuerCertificate;
  }
  socket.destroy();
  return names;
}

const pemsOnVolume = async (pop: Pop): Promise<number> =>
  (await pop.exec(["cat", `/var/lib/pop/certs/${host}.pem`])).output.split("BEGIN CERTIFICATE").length - 1;

const served = async (pop: Pop): Promise<string> => {
  const socket = await enterTls(pop.https, { servername: host, rejectUnauthorized: false });
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
};

describe("a vault set up as docs/secrets.md says", () => {
  let pop: Pop;
  let role: string;
  const secretId = (...terms: string[]) =>
    vault.bao(["write", "-f", "-field=secret_id", "auth/approle/role/pop/secret-id", ...terms]);

  beforeAll(async () => {
    vault.bao(["secrets", "enable", "-path=kv", "-version=2", "kv"]);
    vault.bao(["auth", "enable", "approle"]);
    vault.file("pop.hcl", policy);
    const said = lines.map((line) => vault.shell(line));
    expect(said).toHaveLength(4);
    role = said[2] ?? "";
    const issued = vault.issue(host);
    // In the worst order, with what visitors need not be sent.
    const stranger = vault.bao([
      "write",
      "-field=certificate",
      "upper/issuers/generate/root/internal",
      "common_name=x",
    ]);
    const chain = [stranger, ...issued.ca_chain.toReversed(), issued.certificate].join("\n");
    vault.put("kv", place, { key: issued.private_key, chain });
    pop = await start("vault", {});
    await give(pop, { role, secret: said[3] ?? "" });
    await untilTold(pop, isWell);
  });

  test("a chain in any order is sent in the right one, without root and stranger", async () => {
    expect(await chainOf(pop)).toEqual([host, "lower of the tests"]);
    expect(await pemsOnVolume(pop)).toBe(2);
  });

  test("its secret_id does not end, and PoPs know", async () => {
    const report = await reportOf(pop);
    expect(report?.vaultSecretId).toEqual({ createdAt: expect.any(String) });
    const metrics = await (await fetch(`http://127.0.0.1:${pop.health}/metrics`)).text();
    expect(metrics).toContain("\npop_vault_secret_id_known 1\n");
    expect(metrics).toContain("\npop_vault_secret_id_not_after_timestamp_seconds +Inf\n");
    expect(familiesOf(metrics)).toEqual([...documentedMetrics.always, ...documentedMetrics.vault].toSorted());
  });

  test("the policy of PoPs lets them do nothing else to the role", () => {
    const login = ["write", "-field=token", "auth/approle/login", `role_id=${role}`, `secret_id=${secretId()}`];
    const token = vault.bao(login);
    const path = "auth/approle/role/pop";
    for (const command of [
      `read ${path}`,
      `list ${path}/secret-id`,
      `write -f ${path}/secret-id`,
      `write ${path}/secret-id/destroy secret_id=x`,
      `write ${path}/secret-id-accessor/lookup secret_id_accessor=x`,
      "write auth/approle/role/other/secret-id/lookup secret_id=x",
    ])
      expect(() => vault.shell(`BAO_TOKEN=${token} bao ${command}`), command).toThrow(/permission denied/);
  });

  test("a lifetime that the mount cuts is reported as it really is", async () => {
    await give(pop, { role, secret: secretId("ttl=90d") });
    await restartCerts(pop);
    const report = await untilTold(pop, ({ vaultSecretId }) => vaultSecretId?.endsAt !== undefined);
    const { createdAt = "", endsAt = "" } = report?.vaultSecretId ?? {};
    expect(Math.round((Date.parse(endsAt) - Date.parse(createdAt)) / 86_400_000)).toBe(32);
    expect(report?.components.certs).toEqual({ status: "ok" });
  });

  test("one with few uses is reported, and one that is used up while its PoP continues", async () => {
    await give(pop, { role, secret: secretId("num_uses=3") });
    await restartCerts(pop);
    const few = await untilTold(pop, ({ vaultSecretId }) => vaultSecretId?.usesLeft !== undefined);
    expect(few?.vaultSecretId?.usesLeft).toBe(2);
    expect(few?.components.certs?.reason).toContain("allows few more logins (2)");
    await give(pop, { role, secret: secretId("num_uses=1") });
    await restartCerts(pop);
    const gone = await untilTold(pop, ({ vaultSecretId }) => vaultSecretId?.gone === true);
    expect(gone?.components.certs?.reason).toContain("the vault does not know the secret_id any more");
    expect(gone?.status).toBe("degraded");
    // Certificates come all the same.
    const before = await served(pop);
    const { private_key, certificate, ca_chain } = vault.issue(host);
    vault.put("kv", place, { key: private_key, chain: [certificate, ...ca_chain].join("\n") });
    await until(
      () => served(pop),
      (serial) => serial !== before,
      { seconds: 60 },
    );
  });

  test("one that ends is reported before and after its end, and the next start is refused until there is another", async () => {
    await give(pop, { role, secret: secretId("ttl=24s") });
    await restartCerts(pop);
    const soon = await untilTold(pop, ({ components }) => components.certs?.reason?.includes("ends at") ?? false);
    expect(soon?.components.certs?.reason).toMatch(
      /the secret_id for the vault ends at \S+Z: a PoP that starts after that is refused/,
    );
    await untilTold(pop, ({ components }) => components.certs?.reason?.includes("ended at") ?? false);
    await restartCerts(pop);
    const refused = await untilTold(pop, ({ components }) => components.certs?.reason?.includes("login") ?? false);
    expect(refused?.components.certs?.reason).toContain("invalid role or secret ID");
    await give(pop, { role, secret: secretId() });
    await untilTold(pop, isWell);
  });

  test("a policy that forbids the lookup is not a fault, and health says what to add", async () => {
    vault.bao(["policy", "write", "pop", "-"], { input: policy.split("\n")[0] ?? "" });
    await restartCerts(pop);
    const report = await untilTold(pop, ({ vaultSecretId }) => vaultSecretId?.unknown?.includes("policy") ?? false);
    expect(report).toMatchObject({
      components: { certs: { status: "ok" } },
      vaultSecretId: {
        unknown:
          "the policy of role pop does not let PoPs look it up: allow update on auth/approle/role/pop/secret-id/lookup",
      },
    });
  });
});

describe("a vault in a namespace, under other names, of version 1", () => {
  const namespace = "edge/eu";
  const inside = { namespace };
  let pop: Pop;

  beforeAll(async () => {
    vault.bao(["namespace", "create", "edge"]);
    vault.bao(["namespace", "create", "eu"], { namespace: "edge" });
    vault.bao(["auth", "enable", "-path=approle-edge", "approle"], inside);
    vault.bao(["secrets", "enable", "-path=tls", "-version=1", "kv"], inside);
    const grants = `path "tls/edge/*" { capabilities = ["read"] }\npath "auth/approle-edge/role/fleet/secret-id/lookup" { capabilities = ["update"] }`;
    vault.bao(["policy", "write", "fleet", "-"], { ...inside, input: grants });
    vault.bao(["write", "auth/approle-edge/role/fleet", "token_policies=fleet"], inside);
    // As OpenBao's own authority answers: a list for a chain.
    vault.put("tls", `edge/${host}/current`, vault.issue(host), namespace);
    pop = await start("vault-elsewhere", {
      namespace,
      authMount: "approle-edge",
      mount: "tls",
      kvVersion: 1,
      path: "edge/{domain}/current",
      fields: { key: "private_key", certificate: "certificate", chain: "ca_chain" },
    });
  });

  const credentials = (): Credentials => ({
    role: vault.bao(["read", "-field=role_id", "auth/approle-edge/role/fleet/role-id"], inside),
    secret: vault.bao(["write", "-f", "-field=secret_id", "auth/approle-edge/role/fleet/secret-id"], inside),
  });

  test("has certificates for PoPs", async () => {
    await give(pop, credentials());
    const report = await untilTold(pop, isWell);
    expect(report?.vaultSecretId).toEqual({ createdAt: expect.any(String) });
    expect(await chainOf(pop)).toEqual([host, "lower of the tests"]);
  });

  test("a role of the root namespace does not exist here", async () => {
    const role = vault.bao(["read", "-field=role_id", "auth/approle/role/pop/role-id"]);
    const secret = vault.bao(["write", "-f", "-field=secret_id", "auth/approle/role/pop/secret-id"]);
    await give(pop, { role, secret });
    await restartCerts(pop);
    // Degraded it is before that, too: started again, it has not reported yet.
    const report = await untilTold(pop, ({ components }) => components.certs?.reason?.includes("login") ?? false);
    expect(report?.components.certs?.reason).toContain("login: vault answered 400: invalid role or secret ID");
    await give(pop, credentials());
    await untilTold(pop, isWell);
  });

  test("a missing field and a missing secret are reported by name", async () => {
    vault.put("tls", `edge/${host}/current`, { private_key: "x" }, namespace);
    await untilTold(
      pop,
      ({ components }) =>
        components.certificates?.reason?.includes('what is in the vault has no field "certificate"') ?? false,
    );
    vault.bao(["kv", "delete", "-mount=tls", `edge/${host}/current`], inside);
    await untilTold(
      pop,
      ({ components }) =>
        components.certificates?.reason?.includes(`tls/edge/${host}/current: vault answered 404`) ?? false,
    );
    expect(await chainOf(pop)).toEqual([host, "lower of the tests"]);
  });
});
