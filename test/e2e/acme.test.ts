/**
 * Three PoPs in three regions that order their certificates themselves: machines of a local Fly, an edge in each region, and a real authority
 * whose looks come from all regions by turns, so that a challenge has to be asked for over the private network.
 */
import { X509Certificate } from "node:crypto";
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { machineConfig } from "../../components/machine-config.ts";
import { limits } from "../../image/limits.ts";
import { ports } from "../../image/ports.ts";
import type { ImageSpec } from "../../image/spec.ts";
import { createEdge, type Edge } from "../../local/edge/edge.ts";
import { createLocalFly, type LocalFly } from "../../local/fly/create.ts";
import { seeded } from "../../local/fly/random.ts";
import type { Runner } from "../../local/fly/runner.ts";
import { memoryStore } from "../../local/fly/store.ts";
import { resolverImage } from "../../local/resolver/resolver.ts";
import { systemClock } from "../../providers/clock.ts";
import { Fly } from "../../providers/fly/api.ts";
import { type MachineInputs, type MachineOutputs, machineHandler } from "../../providers/fly/machine.ts";
import { createRolloutGate } from "../../providers/fly/rollout-gate.ts";
import { volumeHandler } from "../../providers/fly/volume.ts";
import type { Context } from "../../providers/handler.ts";
import { type Authority, startAuthority } from "../image/support/authority.ts";
import { http, https, trustedCertificate, type Visited } from "../image/support/client.ts";
import { type NameServer, startNameServer } from "../image/support/dns.ts";
import { Bench, build, type Health, processCompose, until } from "../image/support/pop.ts";
import { originName } from "../image/support/spec.ts";
import { app, machineInputs, volumeInputs } from "../support/context.ts";
import { inProcess } from "../support/local-fly.ts";
import { noSecrets } from "../support/no-secrets.ts";
import { cleanUp, docker, lab, newStack, tinyTag } from "./docker.ts";

const token = "e2e-acme";
const network = { name: "fly-pops-e2e-acme", subnet: "172.31.243.0/24", gateway: "172.31.243.1" };
/** What the names lead to: a container, as port 80 of this machine is root's. */
const edgeAddress = "172.31.243.80";
const [namePort, authorityPort, edgePort] = [25_490, 25_491, 25_493];
const regions = ["cdg", "nrt", "ewr"] as const;
const sites = [
  { host: "www.pops.example", aliases: ["pops.example"] },
  { host: "docs.pops.example", aliases: ["blog.pops.example"] },
  ...Array.from({ length: 8 }, (_, n) => ({ host: `site-${n}.pops.example`, aliases: [] })),
];
const allHosts = sites.map(({ host }) => host);
const allNames = sites.flatMap(({ host, aliases }) => [host, ...aliases]);
/** What a test renews that is about looks and not about how many sites there are. */
const some = allHosts.slice(0, 2);
const challenge = "/.well-known/acme-challenge/";

const spec: ImageSpec = {
  sites: sites.map((site) => ({
    ...site,
    kind: "files",
    dir: "site",
    certificateFrom: "acme",
  })),
  luggage: {},
  // The whole tree, as nothing here is in the world's, and a zone that unbound denies by itself.
  dns: { forward: [".", "homelab.test"].map((zone) => ({ zone, servers: [`${network.gateway}@${namePort}`] })) },
  cache: { maxSizeMb: 64, indexMb: 1 },
  certificates: {
    acme: {
      email: "ada@pops.example",
      directories: [`https://${originName}:${authorityPort}/dir`],
      ca: "origin.pem",
    },
  },
};

/** A request to port 80: from the authority, or from a PoP that checks its own name. */
interface Look {
  path: string;
  byAuthority: boolean;
  /** 0 until it is answered, and when it never is. */
  status: number;
}

/** A PoP of ours. */
interface Made {
  name: string;
  region: string;
  id: string;
  ip: string;
  inputs: MachineInputs;
  outs: MachineOutputs;
}

const bench = new Bench("e2e-acme");
let runner: Runner;
let local: LocalFly;
let fly: Fly;
let context: Context;
let names: NameServer;
let authority: Authority;
let edges: Edge[] = [];
let front: Server;
let pops: [Made, Made, Made];
const open = new Set<Socket>();
const looks: Look[] = [];
/** What a look waits for before it goes on to an edge. */
const atOnce = async () => {};
let before: (look: Look) => Promise<void> = atOnce;

beforeAll(async () => {
  await bench.sweep();
  const [image] = await Promise.all([build("e2e-acme", spec), resolverImage(docker, () => {})]);
  await bench.createNetwork(network);
  names = await startNameServer(network.gateway, namePort);
  names.say(originName, [network.gateway]);
  for (const name of allNames) names.say(name, [edgeAddress]);
  ({ runner } = await lab(newStack(), { network: network.name }));
  local = await createLocalFly({ clock: systemClock, runner, random: seeded(1), store: memoryStore(), token });
  fly = new Fly({ token, clock: systemClock, transport: inProcess(local.handle) });
  context = { fly, clock: systemClock, rollout: createRolloutGate(), ...noSecrets, log: () => {} };
  await fly.createApp({ name: app, org_slug: "personal" });
  await fly.assignAddress(app, { type: "v4" });
  edges = await Promise.all(
    regions.map((clientRegion) =>
      createEdge({
        routes: local.routes,
        bind: () => ({ host: "127.0.0.1", port: 0 }),
        clientRegion,
        log: () => {},
        portAdvice: "",
      }),
    ),
  );
  front = await startFront();
  await bench.forward({ 80: edgePort }, { network, address: edgeAddress, aliases: [] });
  authority = await startAuthority({
    address: network.gateway,
    port: authorityPort,
    nameServer: `${network.gateway}:${namePort}`,
  });
  pops = (await Promise.all(regions.map((region) => deploy(region, image)))) as typeof pops;
});
afterAll(async () => {
  local?.close();
  for (const socket of open) socket.destroy();
  front?.close();
  await Promise.all(edges.map((it) => it.close({ drainMs: 0 })));
  // Before its network, which the machines are on.
  await cleanUp();
  await bench.sweep();
  await Promise.all([authority?.close(), names?.close()]);
});

afterEach(() => {
  before = atOnce;
});

/** Anycast as an authority meets it: each connection comes to the edge of another region than the one before. */
async function startFront(): Promise<Server> {
  let turn = 0;
  const server = createServer((client) => {
    const edge = edges[turn++ % edges.length];
    open.add(client);
    client.on("error", () => {});
    client.once("close", () => open.delete(client));
    client.once("data", async (request: Buffer) => {
      client.pause();
      const text = request.toString();
      const look: Look = { path: text.split(" ")[1] ?? "", byAuthority: /pebble/i.test(text), status: 0 };
      looks.push(look);
      await before(look);
      const at = edge?.listeners().find(({ port }) => port === 80)?.local;
      if (at === undefined) return void client.destroy();
      const inward = connect(at.port, at.host, () => inward.write(request));
      inward.once("data", (answer: Buffer) => {
        look.status = Number(answer.toString().split(" ")[1]);
      });
      inward.on("error", () => {});
      inward.once("close", () => client.destroy());
      client.once("close", () => inward.destroy());
      inward.pipe(client).pipe(inward);
    });
  });
  await new Promise<void>((bound, failed) => server.once("error", failed).listen(edgePort, network.gateway, bound));
  return server;
}

/** As `pulumi up` makes a PoP: its volume, then its machine, in service when its checks pass. */
async function deploy(region: string, image: string): Promise<Made> {
  const name = `${region}-1`;
  const { id: volume } = await volumeHandler.create(
    volumeInputs({ pop: name, name: `pop_${region}_1`, region }),
    context,
  );
  const shape = { name, cpuKind: "shared" as const, cpus: 1, memoryMb: 256, volumeGb: 3 };
  const config = machineConfig(shape, image, {}, { addresses: edgeAddress });
  const inputs = machineInputs(volume, { pop: name, name, region, config, drainSeconds: 0, timeoutSeconds: 300 });
  const { id, outs } = await machineHandler.create(inputs, context);
  return { name, region, id, ip: outs.privateIp, inputs, outs };
}

/** Where a port of a PoP is published on this machine. */
const at = ({ id }: Made, port: number): number => runner.dial(id, port)?.port ?? 0;

async function exec({ id, name }: Made, ...command: string[]): Promise<string> {
  const { exit_code, stdout = "", stderr } = await fly.execMachine(app, id, command, 30);
  if (exit_code !== 0) throw new Error(`${name}: ${command.join(" ")} ended with ${exit_code}: ${stderr}`);
  return stdout ?? "";
}

async function healthOf(pop: Made): Promise<Health | undefined> {
  try {
    return (await (await fetch(`http://127.0.0.1:${at(pop, ports.health)}/healthz`)).json()) as Health;
  } catch {
    return undefined;
  }
}

const certificateOf = (pop: Made, servername: string) =>
  trustedCertificate(at(pop, ports.https), servername, authority.root);

/** Serial numbers of all sites once each is trusted and other than before. When that never is, the error says why. */
async function untilTrusted(pop: Made, old: readonly string[] = []): Promise<string[]> {
  const { serials } = await until(
    async () => ({
      serials: (await Promise.all(allHosts.map((host) => certificateOf(pop, host)))).map(
        (it) => it?.serialNumber ?? "",
      ),
      part: (await healthOf(pop))?.parts.certificates,
    }),
    (seen) => seen.serials.every((serial) => serial !== "" && !old.includes(serial)),
    240,
  );
  return serials;
}

/** What a PoP has for nginx. Connections do not tell: a worker may still show the certificate of before for a second or two. */
async function savedCertificate(pop: Made, host: string): Promise<X509Certificate> {
  return new X509Certificate(await exec(pop, "sed", "/END CERTIFICATE/q", `/var/lib/pop/certs/${host}.pem`));
}

/** Has the authority want certificates of a PoP renewed now, and the PoP ask it. Returns the serial numbers of before. */
async function renew(pop: Made, hosts: readonly string[] = some): Promise<string[]> {
  const serials: string[] = [];
  for (const host of hosts) {
    const certificate = await savedCertificate(pop, host);
    serials.push(certificate.serialNumber);
    await authority.renew(certificate.toString());
  }
  await exec(pop, ...processCompose("restart", "certs"));
  return serials;
}

/** Asks a PoP as an authority would that its edge is nearest to. */
const look = (pop: Made, path: string, host: string = allHosts[0] ?? "", method = "GET"): Promise<Visited> =>
  http({ port: at(pop, ports.http), host, path, method });

/** Does something while a PoP holds a challenge, with the challenge's path; the one who asked first waits. */
async function whileHeld<T>(pop: Made, work: (path: string) => Promise<T>): Promise<T> {
  const done = Promise.withResolvers<T>();
  let begun = false;
  before = async ({ path }) => {
    if (begun) return;
    begun = true;
    await work(path).then(done.resolve, done.reject);
  };
  let old: string[] | undefined;
  try {
    old = await renew(pop);
    return await done.promise;
  } finally {
    before = atOnce;
    if (old) await untilTrusted(pop, old);
  }
}

/** Looks since the one of that number, as the authority had them. */
const outcomes = (since: number): number[] =>
  looks
    .slice(since)
    .filter((it) => it.byAuthority)
    .map((it) => it.status);

/** Connections of the edges to each PoP so far. */
const perPop = (): Record<string, number> =>
  Object.fromEntries(
    pops.map(({ name, id }) => [
      name,
      edges.flatMap((it) => it.counts()).reduce((sum, it) => sum + (it.machineId === id ? it.total : 0), 0),
    ]),
  );

async function timed<T extends object>(work: () => Promise<T>): Promise<T & { ms: number }> {
  const start = performance.now();
  return { ...(await work()), ms: Math.round(performance.now() - start) };
}

/** Sends it to `pop certs`. */
function signal(pop: Made, name: "STOP" | "CONT") {
  const each = `case "$(tr '\\0' ' ' < $it/cmdline)" in "/usr/bin/pop certs "*) kill -${name} \${it#/proc/};; esac`;
  return exec(pop, "/bin/sh", "-c", `for it in /proc/[0-9]*; do ${each}; done`);
}

/** TCP connections that programs of a PoP opened since it started. https://www.kernel.org/doc/html/latest/networking/snmp_counter.html */
async function connectionsOpened(pop: Made): Promise<number> {
  const [names = [], values = []] = (await exec(pop, "grep", "^Tcp:", "/proc/net/snmp"))
    .trim()
    .split("\n")
    .map((line) => line.split(" "));
  return Number(values[names.indexOf("ActiveOpens")]);
}

/** What visitors of all sites at all PoPs get until something is done: how often each status, or error. */
async function statusesUntil(done: Promise<unknown>): Promise<Record<string, number>> {
  const statuses: Record<string, number> = {};
  let ended = false;
  const visit = async (pop: Made) => {
    for (let n = 0; !ended; n++) {
      const host = allHosts[n % allHosts.length] ?? "";
      const status = await https({ port: at(pop, ports.https), host }).then(({ status }) => String(status), String);
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
  };
  const visitors = pops.map(visit);
  await done.finally(() => {
    ended = true;
  });
  await Promise.all(visitors);
  return statuses;
}

const report = (what: string, of: unknown) => console.log(`${what}: ${JSON.stringify(of)}`);

const bootedAt = ({ id }: Made): number => local.snapshot().machines[id]?.bootedAt ?? Number.NaN;

test("all three have certificates of the authority, an order each and site", async () => {
  const seconds = await Promise.all(
    pops.map(async (pop) => {
      await untilTrusted(pop);
      return [pop.name, Math.round((Date.now() - bootedAt(pop)) / 100) / 10];
    }),
  );
  report("seconds from boot to https that the authority's root verifies", Object.fromEntries(seconds));
  report("orders, accounts", [authority.orders(), authority.accounts()]);
  expect([authority.orders(), authority.accounts()]).toEqual([pops.length * sites.length, pops.length]);
});

test("the authority's looks are answered on whichever PoP", async () => {
  report("looks of the authority, by PoP", perPop());
  // Three for each name: pebble validates that often at once.
  expect(outcomes(0)).toEqual(Array(pops.length * allNames.length * 3).fill(200));
  for (const count of Object.values(perPop())) expect(count).toBeGreaterThan(0);
  const [holder] = pops;
  const answers = await whileHeld(holder, (path) =>
    Promise.all(Array.from({ length: 30 }, (_, n) => look(pops[n % pops.length] ?? holder, path))),
  );
  expect(answers.map(({ status }) => status)).toEqual(Array(30).fill(200));
  expect(new Set(answers.map(({ body }) => body)).size).toBe(1);
});

test("with a PoP stopped in the middle the others renew, and no look is lost", async () => {
  const [one, two, gone] = pops;
  const [since, orders] = [looks.length, authority.orders()];
  let stopped: Promise<unknown> | undefined;
  before = async ({ byAuthority }) => {
    if (byAuthority) stopped ??= fly.stopMachine(app, gone.id);
  };
  await untilTrusted(one, await renew(one));
  await stopped;
  report("looks of the authority while a PoP stops, orders", [outcomes(since), authority.orders() - orders]);
  expect(stopped).toBeDefined();
  expect(new Set(outcomes(since))).toEqual(new Set([200]));
  expect(authority.orders() - orders).toBe(some.length);
  await fly.waitMachine(app, gone.id, { states: ["stopped"], seconds: 60 });
  const [reached, later] = [perPop()[gone.name], looks.length];
  await untilTrusted(two, await renew(two));
  report("looks of the authority while it is away", outcomes(later));
  expect(new Set(outcomes(later))).toEqual(new Set([200]));
  expect(perPop()[gone.name]).toBe(reached);
  expect(authority.orders() - orders).toBe(2 * some.length);
});

test("while a PoP is updated the others renew, and no look is lost", async () => {
  const [one, two, other] = pops;
  const [since, orders] = [looks.length, authority.orders()];
  let update: Promise<unknown> | undefined;
  before = async ({ byAuthority }) => {
    if (!byAuthority) return;
    const { config } = other.inputs;
    const inputs = { ...other.inputs, config: { ...config, env: { ...config.env, UPDATED: "yes" } } };
    update ??= machineHandler.update(other.id, other.outs, inputs, context);
  };
  const old = await Promise.all([one, two].map((pop) => renew(pop)));
  await Promise.all([one, two].map((pop, n) => untilTrusted(pop, old[n])));
  await update;
  report("looks of the authority while a PoP is updated, orders", [outcomes(since), authority.orders() - orders]);
  expect(update).toBeDefined();
  expect(new Set(outcomes(since))).toEqual(new Set([200]));
  expect(authority.orders() - orders).toBe(2 * some.length);
  expect(await exec(other, "/bin/sh", "-c", "echo $UPDATED")).toBe("yes\n");
});

test("all sites renewed at all PoPs at once: one order each, and no request fails", async () => {
  const orders = authority.orders();
  const old = await Promise.all(pops.map((pop) => renew(pop, allHosts)));
  const renewed = Promise.all(pops.map((pop, n) => untilTrusted(pop, old[n])));
  const statuses = await statusesUntil(renewed);
  report("renewals of all sites at all PoPs: orders, requests by status", [authority.orders() - orders, statuses]);
  expect(Object.keys(statuses)).toEqual(["200"]);
  expect(authority.orders() - orders).toBe(pops.length * sites.length);
  expect(authority.accounts()).toBe(pops.length);
});

test("one that starts again has its certificates from the volume", async () => {
  const [, , gone] = pops;
  const orders = authority.orders();
  await fly.startMachine(app, gone.id);
  await fly.waitMachine(app, gone.id, { states: ["started"], seconds: 60 });
  await untilTrusted(gone);
  await until(
    () => local.routes.backends(app, 80).length,
    (count) => count === pops.length,
    120,
  );
  expect(authority.orders()).toBe(orders);
});

test("while one PoP hangs the others answer, also that nobody has a token", async () => {
  const [holder, other, slow] = pops;
  const seen = await whileHeld(holder, async (path) => {
    await signal(slow, "STOP");
    const late = timed(() => look(slow, path));
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, n) => timed(() => look([holder, other][n % 2] ?? holder, path))),
    );
    const unknown = await timed(() => look(other, challenge + "x".repeat(43)));
    await signal(slow, "CONT");
    return { answers, unknown, late: await late };
  });
  report("one PoP hangs: longest of 30 looks, nobody's token, a look there until it goes on; ms", [
    Math.max(...seen.answers.map(({ ms }) => ms)),
    seen.unknown.ms,
    [seen.late.status, seen.late.ms],
  ]);
  expect(seen.answers.map(({ status }) => status)).toEqual(Array(30).fill(200));
  // Not 504: the peers' time is over before nginx's is.
  expect(seen.unknown.status).toBe(404);
  expect(seen.late.status).toBe(200);
});

test("a PoP that takes five seconds to answer still proves its names, through whichever PoP", async () => {
  const [holder] = pops;
  const seen = await whileHeld(holder, async (path) => {
    await signal(holder, "STOP");
    const late = timed(async () => ({
      answers: await Promise.all(Array.from({ length: 30 }, (_, n) => look(pops[n % pops.length] ?? holder, path))),
    }));
    // The fault itself, not a wait for something.
    await new Promise((passed) => setTimeout(passed, 5000));
    await signal(holder, "CONT");
    return late;
  });
  report("30 looks at a PoP that takes five seconds: ms", seen.ms);
  expect(seen.answers.map(({ status }) => status)).toEqual(Array(30).fill(200));
});

test("a token that nobody has is asked of each peer once, and of none on", async () => {
  const [one, ...others] = pops;
  const opened = async () => Promise.all(pops.map(connectionsOpened));
  const unknown = (count: number) =>
    Array.from({ length: count }, (_, n) => `${challenge}${String(n).padStart(43, "x")}`);
  let start = await opened();
  for (const path of unknown(30)) expect((await look(one, path)).status).toBe(404);
  let counts = (await opened()).map((count, n) => count - (start[n] ?? 0));
  report("30 tokens that nobody has, asked of the first PoP: connections each opened", counts);
  // Health opens some, too.
  expect(counts[0]).toBeGreaterThanOrEqual(60);
  for (const count of counts.slice(1)) expect(count).toBeLessThan(30);

  start = await opened();
  const flood = await timed(async () => {
    // As many as one visitor may have in progress.
    const answers = await Promise.all(unknown(limits.visitorRequests - 6).map((path) => look(one, path)));
    return { statuses: new Set(answers.map(({ status }) => status)) };
  });
  counts = (await opened()).map((count, n) => count - (start[n] ?? 0));
  report("250 at once: ms, connections each opened", [flood.ms, counts]);
  expect([...flood.statuses]).toEqual([404]);
  // 40 at once, 20 a second, of which each is a question a peer.
  expect(counts[0]).toBeLessThan(others.length * (40 + (20 * flood.ms) / 1000) + 60);
});

test("the private port has nothing for another app's machine but answers to tokens it holds", async () => {
  await fly.createApp({ name: "other-app", org_slug: "personal" });
  const made = await fly.createMachine("other-app", {
    name: "stranger",
    region: "cdg",
    config: {
      image: tinyTag,
      init: { exec: ["/bin/sleep", "3600"] },
      guest: { cpu_kind: "shared", cpus: 1, memory_mb: 256 },
    },
  });
  await fly.waitMachine("other-app", made.id, { states: ["started"], version: made.instance_id ?? "", seconds: 60 });
  const ask = async ({ ip }: Made, path: string, ...more: string[]) => {
    const url = `http://[${ip}]:${ports.challenges}${path}`;
    const wget = ["wget", "-q", "-O", "-", "-T", "10", ...more, url];
    const { stdout, stderr } = await fly.execMachine("other-app", made.id, wget, 30);
    return `${stdout ?? ""}${(stderr ?? "").trim()}`;
  };
  const [holder, other] = pops;
  for (const path of ["/", "/healthz", "/metrics", "/debug/pprof/", challenge, `${challenge}${"x".repeat(43)}`])
    expect(await ask(holder, path), path).toContain("404 Not Found");
  expect(await ask(holder, challenge, "--post-data", "x")).toContain("405 Method Not Allowed");
  await whileHeld(holder, async (path) => {
    expect(await ask(holder, path)).toMatch(new RegExp(`^${path.slice(challenge.length)}\\.[\\w-]{43}$`));
    // What it does not hold it does not ask for.
    expect(await ask(other, path)).toContain("404 Not Found");
  });
});
