/** `npm run local -- --no-homelab`: PoPs that order their certificates themselves from an authority beside them, an origin at an address, nothing else. */
import { X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { anycastImage } from "../../local/anycast/anycast.ts";
import { containersOf, labels } from "../../local/docker/engine.ts";
import { fetchPage } from "../../local/page/fetch-page.ts";
import { type Checkout, type CommandResult, checkout } from "../support/checkout.ts";
import { docker, popContainer, rootsOf, servedCertificate, stackOf } from "../support/homelab.ts";

// One story in order: each test continues where the one before it ended.
let it: Checkout;
let first: CommandResult;
const host = "direct.example.test";

beforeAll(async () => {
  it = await checkout();
  first = await it.run("--no-homelab");
  expect(first.code, first.output).toBe(0);
});
afterAll(async () => {
  await it?.run("down");
  it?.remove();
});

const ours = () => ({ filters: { label: [`${labels.stack}=${stackOf(it)}`] } });
const roles = async () => (await containersOf(docker, stackOf(it))).map(({ Labels }) => Labels[labels.role]).toSorted();

test("it ends in a page over HTTPS, fetched, then cached, and says how to trust it and what to try next", () => {
  expect(first.output).toMatch(
    /https:\/\/direct\.example\.test\/ through the edge at 127\.0\.0\.1:\d+, [\w ]+ after the start, with a certificate that the PoP ordered itself \(ACME\):\n {2}HTTP 200 {2}MISS {2}from cdg-1 in \d+ ms\n {2}HTTP 200 {2}HIT {3}from cdg-1 in \d+ ms\n/,
  );
  expect(first.output).toMatch(
    /curl --cacert \.cache\/local\/site-roots\.pem --resolve direct\.example\.test:\d+:127\.0\.0\.1 https:\/\/direct\.example\.test:\d+\//,
  );
  expect(first.output).toContain("npm run local                           goes on");
});

test("the task list says what is left, until the first page", () => {
  expect(first.output).toMatch(/about .* left, first page in /);
  expect(first.output).not.toContain("everything in");
  const times = JSON.parse(it.read(".cache/local-times.json")) as Record<string, Record<string, number>>;
  expect(Object.values(times).map((steps) => Object.keys(steps))).toEqual([["services", "fly", "deploy", "page"]]);
});

test("nothing of a homelab is there", async () => {
  expect(await roles()).toEqual(["anycast", "authority", "machine", "machine", "origin", "registry", "resolver"]);
  expect(existsSync(join(it.dir, ".cache/local/home"))).toBe(false);
});

test("each PoP serves a certificate of its own, which the authority's root verifies and no other", async () => {
  const serials = new Set<string>();
  for (const [from, name] of [
    ["ewr", "ewr-1"],
    ["cdg", "cdg-1"],
  ] as const) {
    const { code, output } = await it.run("--no-homelab", "--from", from);
    expect(code, output).toBe(0);
    expect(output).toContain("(pulumi up): no change");
    expect(output).toMatch(new RegExp(`HTTP 200 {2}HIT {3}from ${name}`));
    const status = await it.status();
    expect(await fetchPage(status.edge.https, host, rootsOf(status), `/${from}`)).toMatchObject({
      status: 200,
      cache: "MISS",
      pop: name,
    });
    expect(await fetchPage(status.edge.https, host, rootsOf(status), `/${from}`)).toMatchObject({ cache: "HIT" });
    const served = await servedCertificate(status, host);
    expect(served.subjectAltName).toBe(`DNS:${host}`);
    expect(served.issuer).toContain("Pebble");
    serials.add(served.serialNumber);
    await expect(fetchPage(status.edge.https, host, it.read(".cache/local/authority.pem"))).rejects.toThrow(
      /certificate/,
    );
  }
  expect(serials.size).toBe(2);
});

test("what the file of roots has are roots", async () => {
  const pems = rootsOf(await it.status()).match(/-----BEGIN[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  expect(pems.map((pem) => new X509Certificate(pem)).map(({ subject, issuer }) => subject === issuer)).toEqual(
    pems.map(() => true),
  );
});

/** A page of the app by its anycast address, which is 404. */
function ownUrl(): string {
  const address = it
    .daemon()
    .listeners.map(({ ip }) => ip)
    .find((ip) => !ip.includes(":"));
  return `http://${address}/.well-known/acme-challenge/unknown-token`;
}

test("PoPs reach their own app by its anycast address, as an authority does", async () => {
  const place = await popContainer(it, "ewr-1");
  const asked = ["wget", "-q", "-O", "-", "-T", "10", "--header", `Host: ${host}`, ownUrl()];
  await expect(place.exec(asked)).rejects.toThrow("404");
});

test("a door to the anycast addresses that was lost is opened again, and the daemon's log says so", async () => {
  const door = async () => (await containersOf(docker, stackOf(it), `${labels.role}=anycast`))[0];
  const lost = await door();
  await docker.getContainer(lost?.Id ?? "").kill();
  const log = () => it.read(".cache/local/daemon.log");
  await expect.poll(log, { timeout: 20_000 }).toContain("anycast addresses has ended. It is started again.");
  await expect.poll(async () => (await door())?.State, { timeout: 20_000 }).toBe("running");
  expect((await door())?.Id).not.toBe(lost?.Id);
  const place = await popContainer(it, "ewr-1");
  const asked = ["wget", "-q", "-O", "-", "-T", "10", "--header", `Host: ${host}`, ownUrl()];
  await expect.poll(() => place.exec(asked).catch(String), { timeout: 20_000 }).toContain("404");
});

test("the door to the anycast addresses is formatted and vetted", async () => {
  await anycastImage(docker, () => {}, "vetted");
});

test("the command line knows what is deployed", async () => {
  const status = await it.flyPops(["status", "--json"]);
  expect(status, status.err).toMatchObject({ code: 0, err: "" });
  const { pops } = JSON.parse(status.out) as { pops: { problems: string[]; certificates: { host: string }[] }[] };
  expect(pops.map(({ problems, certificates }) => [problems, certificates.map((it) => it.host)])).toEqual([
    [[], [host]],
    [[], [host]],
  ]);
  expect((await it.status()).sites).toEqual([host]);
});

test("an authority that starts again is another one: its root is added to the old one, and issued certificates are still served", async () => {
  const [authority] = await containersOf(docker, stackOf(it), `${labels.role}=authority`);
  // Before the restart: asking for the status brings the file up to date.
  const before = rootsOf(await it.status());
  await docker.getContainer(authority?.Id ?? "").restart({ t: 1 });
  const { code, output } = await it.run("--no-homelab");
  expect(code, output).toBe(0);
  expect(output).toContain("no change");
  const roots = rootsOf(await it.status());
  expect(roots).toContain(before.trim());
  expect(roots.length).toBeGreaterThan(before.length);
});

test("options that are unknown or mean nothing change nothing", async () => {
  expect(await it.run("--no-homelabs")).toMatchObject({ code: 1, output: expect.stringContaining("Unknown option") });
  expect(await it.run("down", "--no-homelab")).toEqual({
    code: 1,
    output: "--no-homelab means nothing to down: it is an option of up. Nothing was done.\n",
  });
  expect(await roles()).toContain("machine");
});

test("down leaves nothing", async () => {
  expect((await it.run("down")).code).toBe(0);
  expect(await docker.listContainers({ all: true, ...ours() })).toEqual([]);
  expect((await docker.listVolumes(ours())).Volumes).toEqual([]);
  expect(await docker.listNetworks(ours())).toEqual([]);
  expect(existsSync(join(it.dir, ".cache", "local"))).toBe(false);
  // What `down --all` knows the images that stay by.
  expect(it.read(".cache/local-registries")).toMatch(/^127\.0\.0\.1:\d+\n$/);
});

test("without a site that holds without a homelab, that is said before anything is started", async () => {
  it.editStack(", certificate: {from: acme}", "");
  const { code, output } = await it.run("--no-homelab");
  expect(code).toBe(1);
  expect(output).toContain(
    "--no-homelab: no site of Pulumi.local.yaml has a certificate that the PoPs order themselves.",
  );
  expect(await docker.listContainers({ all: true, ...ours() })).toEqual([]);
});
