/** PoPs that share one certificate of an authority: one orders, the other takes it over the private network. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ports } from "../../image/ports.ts";
import type { ImageSpec } from "../../image/spec.ts";
import { type Authority, startAuthority } from "./support/authority.ts";
import { enterTls } from "./support/client.ts";
import { type NameServer, startNameServer } from "./support/dns.ts";
import { type PlainEdge, startPlainEdge } from "./support/plain-edge.ts";
import { Bench, build, health, type Pop, until } from "./support/pop.ts";
import { originName } from "./support/spec.ts";

const network = {
  name: "fly-pops-acme-share",
  subnet: "172.31.241.0/24",
  gateway: "172.31.241.1",
  subnet6: "fdaa:0:f1::/64",
};
const [namePort, authorityPort, edgePort] = [25_410, 25_411, 25_414];
const edgeAddress = "172.31.241.80";
const privateAddresses = { first: "fdaa:0:f1::a", second: "fdaa:0:f1::b" };
const host = "www.share.example";
const secret = "planted-secret-that-two-pops-share-0123456789";

const spec: ImageSpec = {
  sites: [{ kind: "files", host, dir: "site", certificateFrom: "acme" }],
  luggage: {},
  dns: { forward: [".", "homelab.test"].map((zone) => ({ zone, servers: [`${network.gateway}@${namePort}`] })) },
  cache: { maxSizeMb: 64, indexMb: 1 },
  certificates: {
    acme: {
      email: "ada@share.example",
      directories: [`https://${originName}:${authorityPort}/dir`],
      ca: "origin.pem",
      share: "acmeShare",
    },
  },
};

const bench = new Bench("acme-share");
let names: NameServer;
let edge: PlainEdge;
let authority: Authority;
let first: Pop;
let second: Pop;

beforeAll(async () => {
  await bench.sweep();
  const image = await build("acme-share", spec);
  await bench.createNetwork(network);
  names = await startNameServer(network.gateway, namePort);
  names.say(originName, [network.gateway]);
  names.say(host, [edgeAddress]);
  names.say("edge.internal", Object.values(privateAddresses));
  edge = await startPlainEdge(network.gateway, edgePort);
  await bench.forward({ 80: edgePort }, { network, address: edgeAddress, aliases: [] });
  authority = await startAuthority({
    address: network.gateway,
    port: authorityPort,
    nameServer: `${network.gateway}:${namePort}`,
  });
  const start = async (name: string, address6: string): Promise<Pop> =>
    bench.start(image, {
      volume: await bench.newVolume(),
      networkName: network.name,
      address6,
      env: {
        POP_NAME: name,
        POP_ADDRESSES: edgeAddress,
        FLY_PRIVATE_IP: address6,
        POP_PEER_RESOLVER: `${network.gateway}:${namePort}`,
      },
    });
  [first, second] = await Promise.all([
    start("cdg-1", privateAddresses.first),
    start("cdg-2", privateAddresses.second),
  ]);
  edge.lead(first.http);
});
afterAll(async () => {
  await bench.sweep();
  await Promise.all([authority?.close(), edge?.close(), names?.close()]);
});

/** As `pop-secrets` unseals it. */
async function unseal(pop: Pop): Promise<void> {
  const file = "/run/secrets/acme.share";
  const write = `mkdir -p -m 0751 /run/secrets && echo ${secret} > ${file}.new && chown certs:certs ${file}.new && chmod 0400 ${file}.new && mv ${file}.new ${file}`;
  expect((await pop.exec(["/bin/sh", "-c", write])).code).toBe(0);
}

/** Of what a visitor who trusts the authority and nobody else sees; undefined when they are warned. */
async function serialOf(pop: Pop): Promise<string | undefined> {
  try {
    const socket = await enterTls(pop.https, { servername: host, ca: authority.root, rejectUnauthorized: true });
    const { serialNumber } = socket.getPeerCertificate();
    socket.destroy();
    return serialNumber;
  } catch {
    return undefined;
  }
}

const partsOf = async (pop: Pop) => (await health(pop))?.report.parts;

test("before the secret is there nothing is ordered, and health says what is missing", async () => {
  const parts = await until(
    () => partsOf(first),
    (seen) => seen?.acme?.reason !== undefined,
    60,
  );
  expect(parts?.acme?.reason).toContain("the secret of certificates.acme.share: open /run/secrets/acme.share");
  expect(authority.orders()).toBe(0);
});

test("one orders, the other takes the same certificate", async () => {
  await Promise.all([unseal(first), unseal(second)]);
  const serial = async (pop: Pop) =>
    (
      await until(
        async () => ({ serial: await serialOf(pop), parts: await partsOf(pop) }),
        (seen) => seen.serial !== undefined,
        120,
      )
    ).serial;
  const [one, other] = await Promise.all([serial(first), serial(second)]);
  expect(other).toBe(one);
  expect([authority.orders(), authority.accounts()]).toEqual([1, 1]);
  const { output } = await second.exec(["/bin/sh", "-c", "cd /var/lib/pop/acme && stat -c '%U:%G %a %n' * | sort"]);
  // No account: it never asked the authority for anything.
  expect(output.trim().split("\n")).toEqual([`certs:certs 600 ${host}.json`, `certs:certs 600 ${host}.pem`]);
});

test("a machine without the secret gets nothing, and nothing passes in the clear", async () => {
  const url = (path: string) => `http://[${privateAddresses.first}]:${ports.challenges}${path}`;
  const ask = (path: string) => second.exec(["/bin/sh", "-c", `wget -q -O - -T 3 '${url(path)}' 2>&1 || true`]);
  for (const path of ["/shared-certificate/", `/shared-certificate/${"x".repeat(200)}`, `/shared-certificate/${host}`])
    expect((await ask(path)).output, path).toContain("404");
  for (const pop of [first, second]) {
    const { output } = await pop.exec(["/bin/sh", "-c", "cat /var/log/pop/*.log /run/pop/certs/acme.json"]);
    expect(output).not.toContain(secret);
    expect(output).not.toContain("PRIVATE KEY");
  }
});

test("over a restart nothing is ordered or taken anew", async () => {
  const before = await serialOf(second);
  second = await second.restart();
  await unseal(second);
  await until(
    () => serialOf(second),
    (seen) => seen !== undefined,
    60,
  );
  expect(await serialOf(second)).toBe(before);
  expect(authority.orders()).toBe(1);
});
