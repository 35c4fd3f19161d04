/** The local stack from nothing to its end, with its homelab. test/slow/homelab.test.ts goes through a day with it. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ports } from "../../image/ports.ts";
import { labels } from "../../local/docker/engine.ts";
import { fetchPage } from "../../local/page/fetch-page.ts";
import type { Picture } from "../../status-page/picture.ts";
import { type Checkout, type CommandResult, checkout } from "../support/checkout.ts";
import {
  docker,
  healthOf,
  homelabContainer,
  popContainer,
  rootsOf,
  servedCertificate,
  stackOf,
} from "../support/homelab.ts";
import { documentedMetrics, familiesOf } from "../support/metrics.ts";
import { hitsIn, hunt, outputsOf, secretsOf } from "../support/secret-scan.ts";
import { until } from "../support/until.ts";

// One story in order: each test continues where the one before it ended.
let it: Checkout;
let first: CommandResult;
const host = "www.example.test";

beforeAll(async () => {
  it = await checkout();
  for (const name of ["operator", "stranger"])
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(it.dir, name)]);
  const authorizedKeys = JSON.stringify([it.read("operator.pub").trim()]);
  it.editStack("config:\n", `config:\n  fly-pops:ssh: {authorizedKeys: ${authorizedKeys}}\n`);
});
afterAll(async () => {
  await it.run("down");
  it.remove();
});

const ours = () => ({ filters: { label: [`${labels.stack}=${stackOf(it)}`] } });
const stackFile = () => join(it.dir, "Pulumi.local.yaml");

test("a mistake in the stack file is said before anything is started", async () => {
  const text = readFileSync(stackFile(), "utf8");
  it.editStack("cdg: {}", "cgd: {}");
  const { code, output } = await it.run();
  writeFileSync(stackFile(), text);
  expect(code).toBe(1);
  expect(output).toContain("regions.cgd: no such region; did you mean cdg?");
  expect(await docker.listContainers({ all: true, ...ours() })).toEqual([]);
});

test("a port that is taken is said before anything is deployed, with what to do", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const { code, output } = await it.start("up", "--https-port", String(port)).ended;
  server.close();
  expect(code).toBe(1);
  expect(output).toContain(
    `Port ${port} of 127.0.0.1, where the edge would serve https, cannot be used (EADDRINUSE). Nothing was changed. Free it, or choose another: npm run local -- --https-port ${port + 1}`,
  );
});

test("from nothing one command ends in a page fetched, then cached, by the nearest PoP", async () => {
  first = await it.run();
  expect(first.code, first.output).toBe(0);
  expect(first.output).toMatch(/HTTP 200 {2}MISS {2}from cdg-1 in \d+ ms\n {2}HTTP 200 {2}HIT {3}from cdg-1 in \d+ ms/);
});

test("a run more changes nothing", async () => {
  const storedState = () =>
    JSON.parse(it.read(".cache/local/fly.json")) as {
      machines: Record<string, { version: string; events: unknown[] }>;
    };
  const before = Object.values(storedState().machines).map(({ version, events }) => ({ version, events }));
  const { code, output } = await it.run();
  expect(code, output).toBe(0);
  expect(output).toContain("Deploy the stack local (pulumi up): no change");
  expect(Object.values(storedState().machines).map(({ version, events }) => ({ version, events }))).toEqual(before);
});

test("status says where everything is, and the sites answer there", async () => {
  const { edge, sites, machines, stateFile, ca } = await it.status();
  expect(ca).toBe(join(it.dir, ".cache/local/site-roots.pem"));
  expect(sites).toEqual(["www.example.test", "direct.example.test", "example.test"]);
  expect(machines.map(({ name, region, state, checks }) => ({ name, region, state, checks }))).toEqual([
    { name: "cdg-1", region: "cdg", state: "started", checks: "2/2" },
    { name: "ewr-1", region: "ewr", state: "started", checks: "2/2" },
  ]);
  expect(existsSync(stateFile)).toBe(true);
  const roots = readFileSync(ca, "utf8");
  expect(await fetchPage(edge.https, "www.example.test", roots)).toMatchObject({ status: 200, pop: "cdg-1" });
  expect(await fetchPage(edge.https, "example.test", roots)).toMatchObject({ status: 301 });
  await expect(fetchPage(edge.https, "unknown.test")).rejects.toThrow();
});

test("the status page knows the PoPs, and what they served of late", async () => {
  const { api, edge } = await it.status();
  expect(await (await fetch(`${api}/`)).text()).toContain("<h1>fly-pops");
  const leaving = new AbortController();
  const stream = await fetch(`${api}/events`, { signal: leaving.signal });
  let picture: Picture | undefined;
  let text = "";
  for await (const piece of stream.body ?? []) {
    await fetchPage(edge.https, "www.example.test");
    text += Buffer.from(piece).toString();
    // What follows the last blank line is not whole yet.
    const events = text.split("\n\n").slice(0, -1);
    const last = events.findLast((event) => event.startsWith("data: "));
    if (last !== undefined) picture = JSON.parse(last.slice("data: ".length)) as Picture;
    if (picture?.totals.requestsPerSecond && picture.totals.hitRate) break;
  }
  leaving.abort();
  expect(picture?.pops.map(({ name, phase, place }) => [name, phase, place?.city])).toEqual([
    ["cdg-1", "serving", "Paris"],
    ["ewr-1", "serving", "Secaucus, New Jersey"],
  ]);
  expect(picture?.pops[0]?.memory?.limitBytes).toBe(256 * 2 ** 20);
  expect(picture?.totals.hitRate).toBe(1);
  expect(picture?.rollout).toMatchObject({ done: 2, of: 2 });
});

test("the command line looks into real PoPs", async () => {
  const status = await it.flyPops(["status", "--json"]);
  expect(status, status.err).toMatchObject({ code: 0, err: "" });
  const [cdg] = JSON.parse(status.out).pops;
  expect(cdg).toMatchObject({ pop: "cdg-1", state: "started", checks: { passing: 2, all: 2 }, problems: [] });
  expect(cdg.certificates.map(({ host }: { host: string }) => host)).toContain("www.example.test");

  expect((await it.flyPops(["logs", "cdg-1"])).out).toMatch(/^\S+Z cdg-1 .*"uri":"\/".*"cache":"HIT"/m);
  expect(await it.flyPops(["exec", "cdg-1", "--", "sh", "-c", "cat; exit 3"], "hi\n")).toMatchObject({
    code: 3,
    out: "hi\n",
  });
  expect(await it.flyPops(["exec", "cdg-1", "--", "sh", "-c", "echo $POP_NAME; echo no >&2; exit 4"])).toEqual({
    code: 4,
    out: "cdg-1\n",
    err: "no\n",
  });
  expect(await it.flyPops(["console", "ewr-1"], "echo $POP_NAME; exit 6\n")).toMatchObject({ code: 6, out: "ewr-1\n" });
  expect(await it.flyPops(["nginx-test"])).toMatchObject({ code: 0, out: "cdg-1: good\newr-1: good\n" });
  const processes = await it.flyPops(["processes", "cdg-1", "--json"]);
  expect(processes.code, processes.out).toBe(0);
  expect(JSON.parse(processes.out)).toContainEqual(expect.objectContaining({ name: "nginx", ready: true }));
  expect(await it.flyPops(["config", "cdg-1", "--diff"])).toEqual({ code: 0, out: "", err: "" });
  const releases = await it.flyPops(["releases", "--json"]);
  expect(JSON.parse(releases.out)[0]).toMatchObject({ result: "succeeded", image: cdg.image });
  expect(await it.flyPops(["orphans"])).toMatchObject({ code: 0, out: "" });
});

test("the token is in no state, log, argument list or container", async () => {
  const token = it.read(".cache/local/token").trim();
  expect(token.length).toBeGreaterThan(20);
  const { stateFile } = await it.status();
  expect(readFileSync(stateFile, "utf8")).not.toContain(token);
  expect(it.read(".cache/local/daemon.log")).not.toContain(token);
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name)))
    expect(readCommand(pid), `process ${pid}`).not.toContain(token);
  for (const { Id } of await docker.listContainers({ all: true, ...ours() }))
    expect(JSON.stringify(await docker.getContainer(Id).inspect())).not.toContain(token);
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
    await until(
      () => healthOf(it, name),
      ({ status }) => status === "ok",
      { seconds: 30, everyMs: 250, retriesErrors: true },
    );
});

test("status shows the way from each PoP to the origin, and how long an answer takes", async () => {
  const look = async () => {
    const { out } = await it.flyPops(["status", "--json"]);
    return (JSON.parse(out) as { pops: { origins: { node: string; path: string; latencyMs: number }[] }[] }).pops;
  };
  await until(look, (pops) => pops.every(({ origins }) => origins.length > 0 && origins.every(({ path }) => path)), {
    seconds: 90,
    everyMs: 250,
    retriesErrors: true,
  });
  for (const { origins } of await look())
    for (const way of origins)
      expect(way).toMatchObject({ node: "home", path: "direct", latencyMs: expect.toSatisfy((ms: number) => ms > 0) });
});

test("every metric of docs/metrics.md is there, those of tailnet and vault too, and none is left untold", async () => {
  const text = await (await (await popContainer(it, "cdg-1")).fetch(ports.health, "/metrics")).text();
  expect(familiesOf(text)).toEqual([...documentedMetrics.withTailnet, ...documentedMetrics.vault].toSorted());
  expect(text).toMatch(/^pop_origin_direct\{.*node="home".*\} 1$/m);
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

  test("another operator's key does not open it", async () => {
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

test("no secret is in state, outputs, previews, logs, arguments, environments, images or volumes", async () => {
  const secrets = await secretsOf(it);
  const found = await hunt(it, secrets, outputsOf(it));
  expect(found.hits).toEqual([]);
  expect(found.places).toBeGreaterThan(20);
  // It does find what is there.
  expect(hitsIn(Object.values(secrets).join("\n"), secrets)).toEqual(Object.keys(secrets));
});

test("one region more is one deployment, and leaves the others alone", async () => {
  const before = await it.status();
  it.editStack("    ewr: {}\n", "    ewr: {}\n    fra: {}\n");
  const { code, output } = await it.run();
  expect(code, output).toBe(0);
  const after = await it.status();
  expect(after.machines.map(({ name }) => name)).toEqual(["cdg-1", "ewr-1", "fra-1"]);
  expect(after.machines.slice(0, 2)).toEqual(before.machines);
});

test("down leaves nothing, and can be said twice", async () => {
  const { pid } = it.daemon();
  expect((await it.run("down")).code).toBe(0);
  expect(await docker.listContainers({ all: true, ...ours() })).toEqual([]);
  expect((await docker.listVolumes(ours())).Volumes).toEqual([]);
  expect(await docker.listNetworks(ours())).toEqual([]);
  expect(existsSync(`/proc/${pid}`)).toBe(false);
  expect(existsSync(join(it.dir, ".cache", "local"))).toBe(false);
  expect((await it.run("down")).code).toBe(0);
  for (const how of [["status"], ["status", "--open"]])
    expect(await it.run(...how)).toEqual({
      code: 1,
      output: "The local stack is not running. Start it: npm run local\n",
    });
});

function readCommand(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return ""; // it has ended in between
  }
}
