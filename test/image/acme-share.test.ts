/** PoPs that share one certificate of an authority: one orders, the other takes it over the private network. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ports } from "../../image/ports.ts";
import type { ImageSpec } from "../../image/spec.ts";
import { until } from "../support/until.ts";
import { type AcmeLab, startAcmeLab } from "./support/acme-lab.ts";
import type { Authority } from "./support/authority.ts";
import { trustedCertificate } from "./support/client.ts";
import { build, health, ImageHarness, type Pop } from "./support/pop.ts";
import { originName } from "./support/spec.ts";

const network = {
  name: "fly-pops-acme-share",
  subnet: "172.31.241.0/24",
  gateway: "172.31.241.1",
  subnet6: "fdaa:0:f1::/64",
};
const labPorts = { names: 25_410, authority: 25_411, edge: 25_414 };
const edgeAddress = "172.31.241.80";
const privateAddresses = { first: "fdaa:0:f1::a", second: "fdaa:0:f1::b" };
const host = "www.share.example";
const secret = "planted-secret-that-two-pops-share-0123456789";

const spec: ImageSpec = {
  sites: [{ kind: "files", host, dir: "site", certificateFrom: "acme" }],
  luggage: {},
  dns: { forward: [".", "homelab.test"].map((zone) => ({ zone, servers: [`${network.gateway}@${labPorts.names}`] })) },
  cache: { maxSizeMb: 64, indexMb: 1 },
  certificates: {
    acme: {
      email: "ada@share.example",
      directories: [`https://${originName}:${labPorts.authority}/dir`],
      ca: "origin.pem",
      share: "acmeShare",
    },
  },
};

const harness = new ImageHarness("acme-share");
let authority: Authority;
let lab: AcmeLab;
let first: Pop;
let second: Pop;

beforeAll(async () => {
  await harness.sweep();
  const image = await build("acme-share", spec);
  lab = await startAcmeLab(harness, { image, network, edgeAddress, ports: labPorts });
  const { names, edge } = lab;
  ({ authority } = lab);
  names.say(originName, [network.gateway]);
  names.say(host, [edgeAddress]);
  names.say("edge.internal", Object.values(privateAddresses));
  [first, second] = await Promise.all([
    lab.start("cdg-1", privateAddresses.first),
    lab.start("cdg-2", privateAddresses.second),
  ]);
  edge.lead(first.http);
});
afterAll(async () => {
  await harness.sweep();
  await lab?.close();
});

/** As `pop-secrets` unseals it. */
async function unseal(pop: Pop): Promise<void> {
  const file = "/run/secrets/acme.share";
  const write = `mkdir -p -m 0751 /run/secrets && echo ${secret} > ${file}.new && chown certs:certs ${file}.new && chmod 0400 ${file}.new && mv ${file}.new ${file}`;
  expect((await pop.exec(["/bin/sh", "-c", write])).code).toBe(0);
}

const serialOf = async (pop: Pop): Promise<string | undefined> =>
  (await trustedCertificate(pop.https, host, authority.root))?.serialNumber;

const partsOf = async (pop: Pop) => (await health(pop))?.report.components;

test("before the secret is there nothing is ordered, and health says what is missing", async () => {
  const missing = "the secret of certificates.acme.share: open /run/secrets/acme.share";
  const reasons = await until(
    async () => (await Promise.all([first, second].map(partsOf))).map((parts) => parts?.acme?.reason ?? ""),
    (seen) => seen.every((reason) => reason.includes(missing)),
    { seconds: 60 },
  );
  expect(reasons).toEqual([expect.stringContaining(missing), expect.stringContaining(missing)]);
  expect(authority.orders()).toBe(0);
});

test("one orders, the other takes the same certificate", async () => {
  await Promise.all([unseal(first), unseal(second)]);
  const serial = async (pop: Pop) =>
    (
      await until(
        async () => ({ serial: await serialOf(pop), parts: await partsOf(pop) }),
        (seen) => seen.serial !== undefined,
        { seconds: 120 },
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

test("over a restart nothing is ordered or taken again", async () => {
  const before = await serialOf(second);
  second = await second.restart();
  await unseal(second);
  await until(
    () => serialOf(second),
    (seen) => seen !== undefined,
    { seconds: 60 },
  );
  expect(await serialOf(second)).toBe(before);
  expect(authority.orders()).toBe(1);
});
