/**
 * Uncached requests: a PoP, Debian's own nginx and Caddy pass them on to an origin over https and by name. One origin is local, one is a round trip of 50 ms
 * away. Measures how many round trips a request takes, how many connections the origin sees, and how much is passed on per second of processor time (from the
 * container's cgroup, so the other processes of a PoP count too). Needs Docker, and iptables' NFQUEUE in the kernel.
 */
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import type { Container } from "dockerode";
import type { ImageSpec } from "../image/spec.ts";
import { load } from "../test/image/support/load.ts";
import { type LoadNetwork, type LoadOrigin, startLoadOrigin } from "../test/image/support/loaded.ts";
import { originCertificate } from "../test/image/support/origin.ts";
import { docker, exec, ImageHarness } from "../test/image/support/pop.ts";
import { originName, outward } from "../test/image/support/spec.ts";
import { until } from "../test/support/until.ts";
import { type Benchmark, columns } from "./benchmark.ts";
import {
  buildBeside,
  measured,
  median,
  nginxVersion,
  ratioByRounds,
  round,
  type Server,
  type Servers,
  startServers,
} from "./edge/servers.ts";

export const title =
  "what is not cached, beside Debian's own nginx and Caddy: round trips and connections to an origin, work per second of processor";

const host = "measured.example.test";
const originPort = 8443;
const network: LoadNetwork = {
  name: "fly-pops-bench-origin",
  subnet: "172.31.206.0/24",
  gateway: "172.31.206.1",
  origin: "172.31.206.10",
};
/** Milliseconds from the edge to the far origin and back. */
const distanceMs = 50;
const bars = { roundTrips: 1.1, newConnections: 8 };

/** Servers take turns, so that other load on the machine affects all of them; the median of the rounds counts. */
const rounds = 9;
/** Requests whose connections are counted: so many one after another, then so many by a few visitors at once. */
const counted = { alone: 200, together: 200, visitors: 4 };
/** Requests, one after another over one kept connection, of which the median time counts. */
const sequence = 20;

const kilobyte = 1024;
const megabyte = 1024 * kilobyte;

interface Work {
  visitors: number;
  /** Requests in a round, by where the origin is. */
  times: Record<Place, number>;
  /** The n-th request's. No two are alike: what is asked for at the same time and never stored must not be taken for one thing. */
  path: (n: number) => string;
  body?: Buffer;
  /** Bytes of each answer. */
  answerBytes: number;
  /** What one request counts for, in `unit`. */
  worth: number;
  unit: string;
}

const places = ["here", "away"] as const;
type Place = (typeof places)[number];

const uploadBytes = 8 * megabyte;
const streamBytes = 32 * megabyte;
const works = {
  miss: {
    visitors: 16,
    times: { here: 4000, away: 800 },
    path: (n) => `/miss-${n}?cache=no-store&size=${kilobyte}`,
    answerBytes: kilobyte,
    worth: 1,
    unit: "",
  },
  upload: {
    visitors: 4,
    times: { here: 16, away: 16 },
    path: () => `/api/upload?size=${uploadBytes}`,
    body: Buffer.alloc(uploadBytes, "x"),
    answerBytes: `${uploadBytes}\n`.length,
    worth: uploadBytes / 1e6,
    unit: " MB",
  },
  stream: {
    visitors: 4,
    times: { here: 8, away: 8 },
    path: (n) => `/stream-${n}?cache=no-store&chunked=yes&size=${streamBytes}`,
    answerBytes: streamBytes,
    worth: streamBytes / 1e6,
    unit: " MB",
  },
} satisfies Record<string, Work>;
type WorkName = keyof typeof works;
const workNames = Object.keys(works) as WorkName[];
type ServerName = keyof Servers;
const serverNames: ServerName[] = ["ours", "stockNginx", "caddy"];

interface Figures {
  perCpuSecond: number;
  p50Ms: number;
}

export const run: Benchmark["run"] = async (log) => {
  const harness = new ImageHarness("bench-origin");
  try {
    await harness.sweep();
    await harness.createNetwork(network);
    const origin = await startLoadOrigin(harness, network);
    log("origin: images");
    const distance = await buildBeside("distance", spec);
    const servers = await startServers(harness, {
      spec,
      host,
      path: works.miss.path(0),
      networkName: network.name,
      stockNginxConf: read("nginx-site.conf"),
      caddyfile: read("Caddyfile"),
      files: { "origin.pem": originCertificate },
    });
    const nginx = { ours: await nginxVersion(servers.ours), stockNginx: await nginxVersion(servers.stockNginx) };
    log("origin: connections");
    const connections = await each((name) => newConnections(servers[name], origin));
    const here = await inTurns(servers, "here", log);
    const away = await atDistance(harness, distance, origin, async () => {
      const connectMs = median(await times(sequence, () => connectTime()));
      const done = await inTurns(servers, "away", log);
      const trips = await each(() => Promise.resolve<number[]>([]));
      for (let n = 1; n <= rounds; n++) {
        log(`origin: ${distanceMs} ms away, one after another, round ${n} of ${rounds}`);
        for (const name of serverNames) trips[name].push(await roundTrips(servers[name]));
      }
      return { connectMs, works: done, trips: mapped((name) => median(trips[name])) };
    });
    return report({ nginx, connections, here, away });
  } finally {
    await harness.sweep();
  }
};

const read = (name: string): string => readFileSync(join(import.meta.dirname, "origin", name), "utf8");

const spec: ImageSpec = {
  ...outward(),
  sites: [
    {
      kind: "proxy",
      host,
      origins: [`https://${originName}:${originPort}`],
      tls: { ca: "origin.pem" },
    },
  ],
};

const mapped = <T>(value: (name: ServerName) => T): Record<ServerName, T> =>
  Object.fromEntries(serverNames.map((name) => [name, value(name)])) as Record<ServerName, T>;

/** One after another. */
async function each<T>(value: (name: ServerName) => Promise<T>): Promise<Record<ServerName, T>> {
  const all: [ServerName, T][] = [];
  for (const name of serverNames) all.push([name, await value(name)]);
  return Object.fromEntries(all) as Record<ServerName, T>;
}

async function times<T>(count: number, value: () => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  for (let n = 0; n < count; n++) all.push(await value());
  return all;
}

type Rounds = Record<ServerName, Record<WorkName, Figures[]>>;

async function inTurns(servers: Servers, place: Place, log: (line: string) => void): Promise<Rounds> {
  const figures: Rounds = mapped(() => ({ miss: [], upload: [], stream: [] }));
  for (let n = 1; n <= rounds; n++) {
    log(`origin: ${where[place]}, round ${n} of ${rounds}`);
    // Each round starts with another server, because the server after Caddy's streams finds the processor still busy with them.
    const order = serverNames.map((_, at) => serverNames[(at + n) % serverNames.length] as ServerName);
    for (const work of workNames)
      for (const name of order) figures[name][work].push(await measure(name, servers[name], work, place));
  }
  return figures;
}

const where: Record<Place, string> = { here: "here", away: `${distanceMs} ms away` };

let asked = 0;

async function measure(name: string, server: Server, workName: WorkName, place: Place): Promise<Figures> {
  const work: Work = works[workName];
  const done = await doWork(`${name}: ${workName} ${where[place]}`, server, work, work.visitors, work.times[place]);
  return { perCpuSecond: (done.requests * work.worth) / done.cpuSeconds, p50Ms: done.p50Ms };
}

/** So many requests by so many visitors, each over a connection it keeps. Throws unless every answer is whole. */
async function doWork(what: string, server: Server, work: Work, visitors: number, requests: number) {
  let left = requests;
  const next = () => (left-- > 0 ? work.path(++asked) : undefined);
  const { open } = server;
  const { body } = work;
  const done = await measured(server, what, () =>
    load({ open, connections: visitors, host, next, ...(body && { body }) }),
  );
  if (done.bytes !== requests * work.answerBytes)
    throw new Error(
      `${what}: ${requests} answers of ${work.answerBytes} bytes were expected, they had ${done.bytes} together.`,
    );
  return done;
}

async function newConnections(server: Server, origin: LoadOrigin): Promise<number> {
  const before = await origin.connections();
  await doWork("one after another", server, works.miss, 1, counted.alone);
  await doWork("at once", server, works.miss, counted.visitors, counted.together);
  return (await origin.connections()) - before;
}

/** Round trips that an ordinary request takes. */
const roundTrips = async (server: Server): Promise<number> =>
  (await doWork("one after another, far away", server, works.miss, 1, sequence)).p50Ms / distanceMs;

/** Does work while the origin is away, by holding back each packet that comes to its port. */
async function atDistance<T>(
  harness: ImageHarness,
  image: string,
  origin: LoadOrigin,
  work: () => Promise<T>,
): Promise<T> {
  const rule = `--protocol tcp --dport ${originPort} --jump NFQUEUE --queue-num 0`;
  const container = await docker.createContainer({
    Image: image,
    Labels: harness.labels,
    // Without a reader of the queue packets are dropped, so that what follows fails instead of measuring a nearby origin.
    Entrypoint: ["/bin/sh", "-c", `iptables --append INPUT ${rule} && exec distance ${distanceMs}`],
    HostConfig: {
      Init: true,
      NetworkMode: `container:${origin.container.id}`,
      CapDrop: ["ALL"],
      CapAdd: ["NET_ADMIN"],
    },
  });
  await container.start();
  await until(connectTime, (ms) => ms >= distanceMs);
  const done = await work();
  const lost = await lostPackets(container);
  if (lost > 0)
    throw new Error(
      `the network to the origin lost ${lost} packets on the way. Its figures do not count: run this again on a machine with less to do.`,
    );
  return done;
}

/**
 * Packets dropped because the queue or the socket was full are the sixth and the seventh column.
 * https://github.com/torvalds/linux/blob/v6.12/net/netfilter/nfnetlink_queue.c, seq_show
 */
async function lostPackets(distance: Container): Promise<number> {
  const { output } = await exec(distance, ["cat", "/proc/net/netfilter/nfnetlink_queue"]);
  const [, , , , , queueDropped, userDropped] = output.trim().split(/\s+/).map(Number);
  const lost = (queueDropped ?? Number.NaN) + (userDropped ?? Number.NaN);
  if (Number.isNaN(lost)) throw new Error(`the queue of packets is not there, or looks unlike itself: ${output}`);
  return lost;
}

/** Milliseconds that TCP's handshake with the origin takes from outside its namespace: one round trip. */
async function connectTime(): Promise<number> {
  const began = performance.now();
  const socket = connect(originPort, network.origin);
  await new Promise<void>((connected, failed) => socket.once("connect", connected).once("error", failed));
  const ms = performance.now() - began;
  socket.destroy();
  return ms;
}

interface Seen {
  nginx: Record<"ours" | "stockNginx", string>;
  connections: Record<ServerName, number>;
  here: Rounds;
  away: { connectMs: number; works: Rounds; trips: Record<ServerName, number> };
}

function report({ nginx, connections, here, away }: Seen): Awaited<ReturnType<Benchmark["run"]>> {
  const figures: Record<Place, Rounds> = { here, away: away.works };
  const all = (place: Place, name: ServerName, work: WorkName, key: keyof Figures): number[] =>
    figures[place][name][work].map((it) => it[key]);
  const of = (place: Place, name: ServerName, work: WorkName, key: keyof Figures): number =>
    median(all(place, name, work, key));
  const ratios = (place: Place, name: ServerName) =>
    Object.fromEntries(
      workNames.map((work) => [
        work,
        round(ratioByRounds(all(place, "ours", work, "perCpuSecond"), all(place, name, work, "perCpuSecond"))),
      ]),
    );
  const titles: Record<ServerName, string> = {
    ours: `ours, nginx ${nginx.ours}`,
    stockNginx: `stock nginx ${nginx.stockNginx}`,
    caddy: "caddy",
  };
  const requests = counted.alone + counted.together;
  return {
    table: [
      columns([
        ["", `round trips (bar ${bars.roundTrips})`, `connections (bar ${bars.newConnections})`],
        ...serverNames.map((name) => [titles[name], away.trips[name].toFixed(2), String(connections[name])]),
      ]),
      `round trips of ${distanceMs} ms that a small request over a kept connection takes; TCP's handshake took ${away.connectMs.toFixed(1)} ms`,
      `connections to the origin for ${requests} requests, half of them by ${counted.visitors} visitors at once`,
      "",
      columns([
        ["", ...workNames.flatMap((work) => [`${work}${works[work].unit}/cpu s`, "p50 ms"])],
        ...places.flatMap((place) =>
          serverNames.map((name) => [
            `${titles[name]}, ${where[place]}`,
            ...workNames.flatMap((work) => [
              of(place, name, work, "perCpuSecond").toFixed(0),
              of(place, name, work, "p50Ms").toFixed(1),
            ]),
          ]),
        ),
      ]),
      "Caddy speaks HTTP/2 to this origin, which is its default: all requests share a connection",
    ].join("\n"),
    result: {
      roundTrips: round(away.trips.ours),
      newConnections: connections.ours,
      vsCaddy: ratios("here", "caddy"),
      vsStockNginx: ratios("here", "stockNginx"),
      away: { vsCaddy: ratios("away", "caddy"), vsStockNginx: ratios("away", "stockNginx") },
      others: Object.fromEntries(
        (["caddy", "stockNginx"] as const).map((name) => [
          name,
          { roundTrips: round(away.trips[name]), newConnections: connections[name] },
        ]),
      ),
      perCpuSecond: Object.fromEntries(
        places.map((place) => [
          place,
          mapped((name) =>
            Object.fromEntries(workNames.map((work) => [work, Math.round(of(place, name, work, "perCpuSecond"))])),
          ),
        ]),
      ),
      nginx,
      distanceMs,
    },
  };
}
