/** PoPs that order their certificates themselves, from a real CA that validates names on the PoPs' port 80. */
import type { PeerCertificate } from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ports } from "../../image/ports.ts";
import type { ImageSpec } from "../../image/spec.ts";
import { processCompose } from "../support/process-compose.ts";
import { until } from "../support/until.ts";
import { type AcmeLab, startAcmeLab } from "./support/acme-lab.ts";
import { type Authority, authorityName } from "./support/authority.ts";
import { http, https, trustedCertificate } from "./support/client.ts";
import type { NameServer } from "./support/dns.ts";
import type { PlainEdge } from "./support/plain-edge.ts";
import { build, health, ImageHarness, type Pop } from "./support/pop.ts";
import { originName } from "./support/spec.ts";

const network = {
  name: "fly-pops-acme",
  subnet: "172.31.240.0/24",
  gateway: "172.31.240.1",
  subnet6: "fdaa:0:f0::/64",
};
const labPorts = { names: 25_400, authority: 25_401, edge: 25_403 };
const edgeAddress = "172.31.240.80";
const privateAddresses = { first: "fdaa:0:f0::a", second: "fdaa:0:f0::b" };
const [host, alias, late] = ["www.acme.example", "acme.example", "late.acme.example"];
const challenge = "/.well-known/acme-challenge/";

const spec: ImageSpec = {
  sites: [
    { kind: "files", host, aliases: [alias], dir: "site", certificateFrom: "acme" },
    { kind: "files", host: late, dir: "site", certificateFrom: "acme" },
  ],
  luggage: {},
  // Forwards the whole tree, as none of the test's names exist publicly, and a zone that unbound denies by default.
  dns: { forward: [".", "homelab.test"].map((zone) => ({ zone, servers: [`${network.gateway}@${labPorts.names}`] })) },
  cache: { maxSizeMb: 64, indexMb: 1 },
  certificates: {
    acme: {
      email: "ada@acme.example",
      directories: [`https://${originName}:${labPorts.authority}/dir`],
      ca: "origin.pem",
    },
  },
};

const harness = new ImageHarness("acme");
let names: NameServer;
let edge: PlainEdge;
let ca: Authority;
let lab: AcmeLab;
let first: Pop;
let second: Pop;

beforeAll(async () => {
  await harness.sweep();
  const image = await build("acme", spec);
  lab = await startAcmeLab(harness, { image, network, edgeAddress, ports: labPorts });
  ({ names, edge, authority: ca } = lab);
  names.say(late, ["203.0.113.9"]);
  names.say("edge.internal", [privateAddresses.first]);
  first = await lab.start("cdg-1", privateAddresses.first);
  edge.lead(first.http);
});
afterAll(async () => {
  await harness.sweep();
  await lab?.close();
});

const certificateOf = (pop: Pop, servername: string): Promise<PeerCertificate | undefined> =>
  trustedCertificate(pop.https, servername, ca.root);

/** If it never succeeds, the error says why. */
async function untilTrusted(pop: Pop, servername: string): Promise<PeerCertificate | undefined> {
  const found = await until(
    async () => ({ certificate: await certificateOf(pop, servername), part: await certificatesPart(pop) }),
    ({ certificate }) => certificate !== undefined,
    { seconds: 60 },
  );
  return found.certificate;
}

const certificatesPart = async (pop: Pop) => (await health(pop))?.report.components.certificates;
const checkAgain = (pop: Pop) => pop.exec(processCompose("restart", "certs"));

test("a first deployment succeeds before DNS points to it, and health says what is missing", async () => {
  const seen = await until(
    () => health(first),
    (it) => it?.code === 200 && /does not resolve/.test(it.report.components.certificates?.reason ?? ""),
    { seconds: 60 },
  );
  expect(seen?.report.status).toBe("degraded");
  expect(seen?.report.components.certificates?.reason).toContain(
    `${host} does not resolve: set its A record to ${edgeAddress}`,
  );
  expect(ca.orders()).toBe(0);
});

test("a self-signed certificate is served while the CA's name does not resolve", async () => {
  for (const name of [host, alias]) names.say(name, [edgeAddress]);
  const seen = await until(
    () => health(first),
    (it) => /its name cannot be resolved/.test(it?.report.components.certificates?.reason ?? ""),
    { seconds: 60 },
  );
  expect(seen?.report.components.certificates?.reason).toContain(
    `${host}: only a self-signed certificate so far: ${originName}:${labPorts.authority}: its name cannot be resolved`,
  );
  // No other PoP serves, so challenges have to arrive here.
  expect(seen?.code).toBe(200);
  expect(await certificateOf(first, host)).toBeUndefined();
  expect((await https({ port: first.https, host })).status).toBe(200);
  expect(ca.orders()).toBe(0);
});

test("then the CA's certificate is served, for all names of the site; a name that points elsewhere causes no order", async () => {
  names.say(originName, [network.gateway]);
  const certificate = await untilTrusted(first, host);
  expect(certificate?.subjectaltname?.split(", ").toSorted()).toEqual([`DNS:${alias}`, `DNS:${host}`]);
  // A connection may reach the other worker, which serves the previous certificate for a second or two.
  await until(
    () => certificateOf(first, alias),
    (found) => found?.serialNumber === certificate?.serialNumber,
  );
  expect(await certificateOf(first, late)).toBeUndefined();
  const part = await until(
    () => certificatesPart(first),
    (seen) => seen?.reason?.includes("203.0.113.9") === true,
  );
  expect(part).toMatchObject({ status: "degraded" });
  expect(part?.reason).toContain(
    `${late} resolves to 203.0.113.9, not to this edge (${edgeAddress}): set its A record`,
  );
  expect([ca.orders(), ca.accounts()]).toEqual([1, 1]);
});

test("a CAA record of another CA causes no order, and is reported", async () => {
  names.say(late, [edgeAddress]);
  names.allow("acme.example", ["elsewhere.example"]);
  await checkAgain(first);
  const part = await until(
    () => certificatesPart(first),
    (seen) => /CAA/.test(seen?.reason ?? ""),
    { seconds: 60 },
  );
  expect(part?.reason).toContain(
    `the CAA records of acme.example (0 issue "elsewhere.example") do not allow ${authorityName} to issue a certificate for ${late}: add the CAA record 0 issue "${authorityName}" to acme.example, or remove them`,
  );
  expect([ca.orders(), ca.accounts()]).toEqual([1, 1]);
  names.allow("acme.example", [authorityName]);
  names.say(late, ["203.0.113.9"]);
  await checkAgain(first);
});

test("only their owner can read the keys", async () => {
  const { output } = await first.exec(["/bin/sh", "-c", "cd /var/lib/pop/acme && stat -c '%U:%G %a %n' . * | sort"]);
  const lines = output.trim().split("\n");
  expect(lines).toHaveLength(4);
  expect(lines.at(-1)).toBe("certs:certs 700 .");
  for (const line of lines.slice(0, -1)) expect(line).toMatch(/^certs:certs 600 (account-|www\.)/);
  for (const user of ["nginx", "health", "unbound"])
    expect((await first.exec(["runas", user, "/bin/ls", "/var/lib/pop/acme"])).output).toContain("Permission denied");
  expect((await first.exec(["runas", "health", "/bin/ls", "/run/pop/challenges"])).output).toContain(
    "Permission denied",
  );
});

test("a restart causes no order", async () => {
  const before = (await certificateOf(first, host))?.serialNumber;
  first = await first.restart();
  edge.lead(first.http);
  expect((await untilTrusted(first, host))?.serialNumber).toBe(before);
  await until(
    () => certificatesPart(first),
    (seen) => seen?.reason?.includes("203.0.113.9") === true,
    { seconds: 60 },
  );
  expect([ca.orders(), ca.accounts()]).toEqual([1, 1]);
});

test("port 80 answers only challenges, and redirects all else to https", async () => {
  const ask = async (path: string, method = "GET") => {
    const { status, headers } = await http({ port: first.http, host, path, method });
    return [status, headers.location];
  };
  expect(await ask(`${challenge}${"x".repeat(43)}`)).toEqual([404, undefined]);
  expect(await ask(`${challenge}short`)).toEqual([404, undefined]);
  const escaped = `${challenge}..%2f..%2fhealthz${"x".repeat(43)}`;
  expect(await ask(escaped)).toEqual([301, `https://${host}${escaped}`]);
  expect(await ask(`${challenge}${"x".repeat(43)}`, "POST")).toEqual([405, undefined]);
  expect(await ask("/.well-known/other")).toEqual([301, `https://${host}/.well-known/other`]);
  expect(await ask("/")).toEqual([301, `https://${host}/`]);
});

test("a new PoP gets no visitors before it has its certificate, whose challenge arrives at the other PoP", async () => {
  names.say("edge.internal", Object.values(privateAddresses));
  const before = edge.connections();
  const codes = new Set<number>();
  second = await lab.start("cdg-2", privateAddresses.second);
  await until(
    async () => {
      const found = await health(second);
      if (found) codes.add(found.code);
      return found;
    },
    (found) => found?.code === 200,
    { seconds: 90 },
  );
  expect([...codes]).toEqual([503, 200]);
  // The very first visitors after that, whichever worker they reach.
  const first40 = await Promise.all(Array.from({ length: 40 }, () => certificateOf(second, host)));
  expect(first40.filter((it) => it === undefined)).toEqual([]);
  expect(edge.connections()).toBeGreaterThan(before);
  expect(ca.orders()).toBe(2);
  expect((await certificateOf(second, host))?.serialNumber).not.toBe((await certificateOf(first, host))?.serialNumber);
});

test("peers answer in the private network only", async () => {
  const url = (address: string) => `http://${address}:${ports.challenges}${challenge}${"x".repeat(43)}`;
  const ask = (address: string) => first.exec(["/bin/sh", "-c", `wget -q -O - -T 3 ${url(address)} 2>&1 || true`]);
  expect((await ask(`[${privateAddresses.second}]`)).output).toContain("404");
  expect((await ask("127.0.0.1")).output).toContain("refused");
  const { output } = await second.exec(["/bin/sh", "-c", "netstat -tln"]);
  const listening = output.split("\n").filter((line) => line.includes(`:${ports.challenges} `));
  expect(listening).toHaveLength(1);
  expect(listening[0]).toContain(privateAddresses.second);
});

test("a renewal changes the certificate, and no request fails", async () => {
  const before = await certificateOf(first, host);
  if (before === undefined) throw new Error("no certificate to renew");
  const pem = `-----BEGIN CERTIFICATE-----\n${before.raw.toString("base64")}\n-----END CERTIFICATE-----\n`;
  await ca.renew(pem);
  await checkAgain(first);
  const outcomes = new Set<number | string>();
  await until(
    async () => {
      outcomes.add(await https({ port: first.https, host }).then(({ status }) => status, String));
      return (await certificateOf(first, host))?.serialNumber ?? "";
    },
    (serial) => serial !== "" && serial !== before.serialNumber,
    { seconds: 60 },
  );
  expect([...outcomes]).toEqual([200]);
  expect(ca.orders()).toBe(3);
});

test("a renewal that is asked for comes at once, and says what it costs before", async () => {
  const renew = (...words: string[]) => first.exec(["/usr/bin/runas", "certs", "/usr/bin/pop", "renew", ...words]);
  const plan = JSON.parse((await renew("--plan", alias)).output);
  expect(plan).toMatchObject({ names: [host, alias], directory: ca.directory });
  expect(plan.issued).toHaveLength(2);
  expect(ca.orders()).toBe(3);
  const { serial } = JSON.parse((await renew(alias)).output);
  expect(ca.orders()).toBe(4);
  const seen = await until(
    () => certificateOf(first, host),
    (found) => found?.serialNumber === serial,
  );
  expect(seen?.serialNumber).toBe(serial);
  // Names that do not lead here cost nothing.
  expect((await renew(late)).output).toContain(`${late} resolves to 203.0.113.9`);
  expect((await renew("elsewhere.example")).output).toContain("this PoP orders no certificate for elsewhere.example");
  expect(ca.orders()).toBe(4);
});

test("without the CA the last good certificate is served, and health says why there is no newer one", async () => {
  await ca.close();
  names.say(late, [edgeAddress]);
  await checkAgain(first);
  const part = await until(
    () => certificatesPart(first),
    (seen) => /connection refused/.test(seen?.reason ?? ""),
    { seconds: 60 },
  );
  expect(part?.status).toBe("degraded");
  expect(part?.reason).toContain(
    `${late}: only a self-signed certificate so far: ${originName}:${labPorts.authority}: connect: connection refused`,
  );
  expect(await certificateOf(first, host)).toBeDefined();
  expect((await https({ port: first.https, host })).status).toBe(200);
});
