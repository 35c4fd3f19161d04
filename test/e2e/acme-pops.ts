/**
 * Three PoPs in three regions that order their certificates themselves: machines of a local Fly, an edge in each region, and a real authority
 * whose looks come from all regions by turns, so that a challenge has to be asked for over the private network. One stack for all tests of a file.
 */
import { X509Certificate } from "node:crypto";
import { connect, createServer, type Server, type Socket } from "node:net";
import { machineConfig } from "../../components/machine-config.ts";
import { Fly } from "../../fly/api.ts";
import { ports } from "../../image/ports.ts";
import type { ImageSpec } from "../../image/spec.ts";
import { systemClock } from "../../lib/clock.ts";
import { createEdge, type Edge } from "../../local/edge/edge.ts";
import { seeded } from "../../local/fly/core/random.ts";
import type { Runner } from "../../local/fly/core/runner.ts";
import { memoryStore } from "../../local/fly/core/store.ts";
import { createLocalFly, type LocalFly } from "../../local/fly/create.ts";
import { resolverImage } from "../../local/resolver/resolver.ts";
import { type MachineInputs, type MachineOutputs, machineHandler } from "../../providers/fly/machine.ts";
import { volumeHandler } from "../../providers/fly/volume.ts";
import type { Context } from "../../providers/handler.ts";
import { createRolloutGate } from "../../providers/rollout-gate.ts";
import { type Authority, startAuthority } from "../image/support/authority.ts";
import { http, https, trustedCertificate, type Visited } from "../image/support/client.ts";
import { type NameServer, startNameServer } from "../image/support/dns.ts";
import { build, health, ImageHarness } from "../image/support/pop.ts";
import { originName } from "../image/support/spec.ts";
import { app, machineInputs, volumeInputs } from "../support/context.ts";
import { cleanUp, docker, lab, newStack } from "../support/docker.ts";
import type { Health } from "../support/health.ts";
import { inProcess } from "../support/local-fly.ts";
import { noSecrets } from "../support/no-secrets.ts";
import { processCompose } from "../support/process-compose.ts";
import { until } from "../support/until.ts";

const token = "e2e-acme";
const network = { name: "fly-pops-e2e-acme", subnet: "172.31.243.0/24", gateway: "172.31.243.1" };
/** What the names lead to: a container, as port 80 of this machine is root's. */
const edgeAddress = "172.31.243.80";
const [namePort, authorityPort, edgePort] = [25_490, 25_491, 25_493];
const regions = ["cdg", "nrt", "ewr"] as const;
export const sites = [
  { host: "www.pops.example", aliases: ["pops.example"] },
  { host: "docs.pops.example", aliases: ["blog.pops.example"] },
  ...Array.from({ length: 8 }, (_, n) => ({ host: `site-${n}.pops.example`, aliases: [] })),
];
export const allHosts = sites.map(({ host }) => host);
export const allNames = sites.flatMap(({ host, aliases }) => [host, ...aliases]);
/** What a test renews that is about looks and not about how many sites there are. */
export const some = allHosts.slice(0, 2);
export const challenge = "/.well-known/acme-challenge/";

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
export interface Look {
  path: string;
  byAuthority: boolean;
  /** 0 until it is answered, and when it never is. */
  status: number;
}

/** A PoP of ours. */
export interface Made {
  name: string;
  region: string;
  id: string;
  ip: string;
  inputs: MachineInputs;
  outs: MachineOutputs;
}

const harness = new ImageHarness("e2e-acme");
let runner: Runner;
export let local: LocalFly;
export let fly: Fly;
export let context: Context;
let names: NameServer;
export let authority: Authority;
let edges: Edge[] = [];
let front: Server;
export let pops: [Made, Made, Made];
const connections = new Set<Socket>();
export const looks: Look[] = [];
/** Looks wait for these: a PoP whose `certs` is starting again has 502 for them, of which one fails an order, and the others may order already. */
const renewals = new Set<Promise<unknown>>();
/** What a look waits for before it goes on to an edge. */
const atOnce = async () => {};
let before: (look: Look) => Promise<void> = atOnce;

export async function open(): Promise<void> {
  await harness.sweep();
  const [image] = await Promise.all([build("e2e-acme", spec), resolverImage(docker, () => {})]);
  await harness.createNetwork(network);
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
  await harness.forward({ 80: edgePort }, { network, address: edgeAddress, aliases: [] });
  authority = await startAuthority({
    address: network.gateway,
    port: authorityPort,
    nameServer: `${network.gateway}:${namePort}`,
  });
  pops = (await Promise.all(regions.map((region) => deploy(region, image)))) as typeof pops;
}

export async function close(): Promise<void> {
  local?.close();
  for (const socket of connections) socket.destroy();
  front?.close();
  await Promise.all(edges.map((it) => it.close({ drainMs: 0 })));
  // Before its network, which the machines are on.
  await cleanUp();
  await harness.sweep();
  await Promise.all([authority?.close(), names?.close()]);
}

/** What looks wait for from now on, until the next call; without an argument nothing. */
export function holdLooks(until: (look: Look) => Promise<void> = atOnce): void {
  before = until;
}

/** Anycast as an authority meets it: each connection comes to the edge of another region than the one before. */
async function startFront(): Promise<Server> {
  let turn = 0;
  const server = createServer((client) => {
    const edge = edges[turn++ % edges.length];
    connections.add(client);
    client.on("error", () => {});
    client.once("close", () => connections.delete(client));
    client.once("data", async (request: Buffer) => {
      client.pause();
      const text = request.toString();
      const look: Look = { path: text.split(" ")[1] ?? "", byAuthority: /pebble/i.test(text), status: 0 };
      looks.push(look);
      await Promise.allSettled(renewals);
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

export async function exec({ id, name }: Made, ...command: string[]): Promise<string> {
  const { exit_code, stdout = "", stderr } = await fly.execMachine(app, id, command, 30);
  if (exit_code !== 0) throw new Error(`${name}: ${command.join(" ")} ended with ${exit_code}: ${stderr}`);
  return stdout ?? "";
}

const healthOf = async (pop: Made): Promise<Health | undefined> =>
  (await health({ health: at(pop, ports.health) }))?.report;

const certificateOf = (pop: Made, servername: string) =>
  trustedCertificate(at(pop, ports.https), servername, authority.root);

/** Serial numbers of all sites once each is trusted and other than before. When that never is, the error says why. */
export async function untilTrusted(pop: Made, old: readonly string[] = []): Promise<string[]> {
  const serials = new Map<string, string>();
  await until(
    async () => {
      // One after the other, and what is trusted is not asked again: three PoPs' handshakes would take the processors from those that order.
      for (const host of allHosts.filter((host) => !serials.has(host))) {
        const serial = (await certificateOf(pop, host))?.serialNumber ?? "";
        if (serial !== "" && !old.includes(serial)) serials.set(host, serial);
      }
      return { serials: [...serials], part: (await healthOf(pop))?.components.certificates };
    },
    () => serials.size === allHosts.length,
    { seconds: 240 },
  );
  return allHosts.map((host) => serials.get(host) ?? "");
}

/** What a PoP has for nginx. Connections do not tell: a worker may still show the certificate of before for a second or two. */
async function savedCertificate(pop: Made, host: string): Promise<X509Certificate> {
  return new X509Certificate(await exec(pop, "sed", "/END CERTIFICATE/q", `/var/lib/pop/certs/${host}.pem`));
}

/** Failed validations of the last hour as a PoP counts them, for each of its certificates that has any. */
export async function failedValidations(pop: Made): Promise<number[]> {
  // 1: no line has any. More is an error.
  const find = `grep -ho '"failedValidations":[^]]*' /var/lib/pop/acme/*.json || [ $? -eq 1 ]`;
  const lines = (await exec(pop, "/bin/sh", "-c", find)).split("\n").filter(Boolean);
  return lines.map((line) => (JSON.parse(`{${line}]}`) as { failedValidations: string[] }).failedValidations.length);
}

/** Has the authority want certificates of a PoP renewed now, and the PoP ask it. Returns the serial numbers of before. */
export function renew(pop: Made, hosts: readonly string[] = some): Promise<string[]> {
  const renewal = askAgain(pop, hosts).finally(() => renewals.delete(renewal));
  renewals.add(renewal);
  return renewal;
}

async function askAgain(pop: Made, hosts: readonly string[]): Promise<string[]> {
  const serials: string[] = [];
  for (const host of hosts) {
    const certificate = await savedCertificate(pop, host);
    serials.push(certificate.serialNumber);
    await authority.renew(certificate.toString());
  }
  await exec(pop, ...processCompose("restart", "certs"));
  await until(
    async () => (await look(pop, `${challenge}${"x".repeat(43)}`)).status,
    (status) => status === 404,
  );
  return serials;
}

/** Asks a PoP as an authority would that its edge is nearest to. */
export const look = (pop: Made, path: string, host: string = allHosts[0] ?? "", method = "GET"): Promise<Visited> =>
  http({ port: at(pop, ports.http), host, path, method });

/** Does something while a PoP holds a challenge, with the challenge's path; the one who asked first waits. */
export async function whileHeld<T>(pop: Made, work: (path: string) => Promise<T>): Promise<T> {
  const done = Promise.withResolvers<T>();
  let begun = false;
  holdLooks(async ({ path }) => {
    if (begun) return;
    begun = true;
    await work(path).then(done.resolve, done.reject);
  });
  let old: string[] | undefined;
  try {
    old = await renew(pop);
    return await done.promise;
  } finally {
    holdLooks();
    if (old) await untilTrusted(pop, old);
  }
}

/** Looks since the one of that number, as the authority had them. */
export const outcomes = (since: number): number[] =>
  looks
    .slice(since)
    .filter((it) => it.byAuthority)
    .map((it) => it.status);

/** Connections of the edges to each PoP so far. */
export const perPop = (): Record<string, number> =>
  Object.fromEntries(
    pops.map(({ name, id }) => [
      name,
      edges.flatMap((it) => it.counts()).reduce((sum, it) => sum + (it.machineId === id ? it.total : 0), 0),
    ]),
  );

export async function timed<T extends object>(work: () => Promise<T>): Promise<T & { ms: number }> {
  const start = performance.now();
  return { ...(await work()), ms: Math.round(performance.now() - start) };
}

/** Sends it to `pop certs`. */
export function signal(pop: Made, name: "STOP" | "CONT") {
  const each = `case "$(tr '\\0' ' ' < $it/cmdline)" in "/usr/bin/pop certs "*) kill -${name} \${it#/proc/};; esac`;
  return exec(pop, "/bin/sh", "-c", `for it in /proc/[0-9]*; do ${each}; done`);
}

/** TCP connections that programs of a PoP opened since it started. https://www.kernel.org/doc/html/latest/networking/snmp_counter.html */
export async function connectionsOpened(pop: Made): Promise<number> {
  const [names = [], values = []] = (await exec(pop, "grep", "^Tcp:", "/proc/net/snmp"))
    .trim()
    .split("\n")
    .map((line) => line.split(" "));
  return Number(values[names.indexOf("ActiveOpens")]);
}

/** What visitors of all sites at all PoPs get until something is done, each PoP's one after the other: how often each status, or error. */
export async function statusesUntil(done: Promise<unknown>): Promise<Record<string, number>> {
  const statuses: Record<string, number> = {};
  let ended = false;
  const visit = async (pop: Made) => {
    for (let n = 0; !ended; n++) {
      const host = allHosts[n % allHosts.length] ?? "";
      const status = await https({ port: at(pop, ports.https), host }).then(({ status }) => String(status), String);
      statuses[status] = (statuses[status] ?? 0) + 1;
      // As fast as they can they would take the processors from what they visit.
      await new Promise((passed) => setTimeout(passed, 20));
    }
  };
  const visitors = pops.map(visit);
  await done.finally(() => {
    ended = true;
  });
  await Promise.all(visitors);
  return statuses;
}

export const report = (what: string, of: unknown) => console.log(`${what}: ${JSON.stringify(of)}`);

export const bootedAt = ({ id }: Made): number => local.snapshot().machines[id]?.bootedAt ?? Number.NaN;
