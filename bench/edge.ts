/**
 * The PoP's nginx beside Debian's own and beside Caddy, on the same work: requests per second of processor time (the container's cgroup has it), and how long the
 * slowest hundredth takes. What else runs in a PoP counts as its own. Needs Docker.
 */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { connect as tlsConnect } from "node:tls";
import type { Container } from "dockerode";
import { pack } from "tar-stream";
import type { ImageSpec } from "../image/spec.ts";
import { enterTls, https } from "../test/image/support/client.ts";
import { type Loaded, load, shakeHands } from "../test/image/support/load.ts";
import { type LoadNetwork, startLoadOrigin } from "../test/image/support/loaded.ts";
import { Bench, build, docker, until } from "../test/image/support/pop.ts";
import { outward, stored } from "../test/image/support/spec.ts";
import { type Benchmark, columns } from "./benchmark.ts";

export const title =
  "the PoP's nginx beside Debian's own and Caddy: requests per second of processor, slowest hundredth";

const host = "measured.example.test";
const network: LoadNetwork = {
  name: "fly-pops-bench-edge",
  subnet: "172.31.217.0/24",
  gateway: "172.31.217.1",
  origin: "172.31.217.10", // edge/nginx-site.conf has it too
};

const sizes = { small: 1024, large: 1024 * 1024 };
const works = ["small", "large", "handshake"] as const;
type Work = (typeof works)[number];
/** In turns, so that what else the machine does meets all of them; of each the median counts. */
const rounds = 5;
const times: Record<Work, number> = { small: 4000, large: 150, handshake: 400 };
const connections = 16;

interface Server {
  container: Container;
  /** One connection to it, handshake done. */
  open: () => Promise<Socket>;
}

interface Figures {
  perCpuSecond: number;
  p99Ms: number;
}

export const run: Benchmark["run"] = async (log) => {
  const bench = new Bench("bench-edge");
  try {
    await bench.sweep();
    log("edge: images");
    const spec = measured();
    const [ours, stock, caddy] = [
      await build("edge", spec),
      await build("edge-nginx", spec, { alter, target: "stock-nginx" }),
      await build("edge-caddy", spec, { alter, target: "caddy" }),
    ];
    await bench.createNetwork(network);
    await startLoadOrigin(bench, network);
    const pop = await bench.start(ours, { volume: await bench.newVolume(), networkName: network.name });
    await until(
      () => https({ port: pop.https, host, path: "/small?size=1" }).catch(() => undefined),
      (seen) => seen?.status === 200,
      60,
    );
    // One key and certificate for all of them.
    const { output: pem } = await pop.exec(["cat", `/var/lib/pop/certs/${host}.pem`]);
    const servers: Record<string, Server> = {
      ours: { container: pop.container, open: () => enterTls(pop.https, { servername: host }) },
      stockNginx: await other(bench, stock, pem),
      caddy: await other(bench, caddy, pem),
    };
    const figures: Record<string, Record<Work, Figures[]>> = {};
    for (let round = 1; round <= rounds; round++) {
      log(`edge: round ${round} of ${rounds}`);
      for (const [name, server] of Object.entries(servers)) {
        figures[name] ??= { small: [], large: [], handshake: [] };
        for (const work of works) figures[name][work].push(await measure(server, work));
      }
    }
    return report(figures);
  } finally {
    await bench.sweep();
  }
};

const measured = (): ImageSpec => ({
  ...outward(),
  sites: [
    {
      kind: "proxy",
      host,
      origins: [`http://${network.origin}:8080`],
      cache: stored(3600),
    },
  ],
});

/** Puts the others beside the image in its build context. */
function alter(context: string): void {
  const folder = join(import.meta.dirname, "edge");
  mkdirSync(join(context, "edge"), { recursive: true });
  cpSync(folder, join(context, "edge"), { recursive: true });
  const dockerfile = join(context, "Dockerfile");
  const text = readFileSync(dockerfile, "utf8");
  writeFileSync(dockerfile, text + readFileSync(join(folder, "Dockerfile.part"), "utf8"));
}

async function other(bench: Bench, image: string, pem: string): Promise<Server> {
  const container = await docker.createContainer({
    Image: image,
    Labels: bench.labels,
    ExposedPorts: { "443/tcp": {} },
    HostConfig: {
      Init: true,
      Memory: 256 * 1024 * 1024,
      NetworkMode: network.name,
      PortBindings: { "443/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }] },
    },
  });
  const files = pack();
  files.entry({ name: "site.pem" }, pem);
  for (const [name, bytes] of Object.entries(sizes)) files.entry({ name: `objects/${name}` }, "x".repeat(bytes));
  files.finalize();
  await container.putArchive(files.pipe(new PassThrough()), { path: "/" });
  await container.start();
  const { NetworkSettings } = await container.inspect();
  const port = Number(NetworkSettings.Ports["443/tcp"]?.[0]?.HostPort);
  const open = (): Promise<Socket> =>
    new Promise((secured, failed) => {
      const socket = tlsConnect({
        host: "127.0.0.1",
        port,
        servername: host,
        rejectUnauthorized: false,
        ALPNProtocols: ["http/1.1"],
      });
      socket.once("secureConnect", () => secured(socket)).once("error", failed);
    });
  await until(
    () =>
      open().then(
        (socket) => socket.destroy(),
        () => undefined,
      ),
    (seen) => seen !== undefined,
    60,
  );
  return { container, open };
}

async function measure({ container, open }: Server, work: Work): Promise<Figures> {
  const before = await cpuSeconds(container);
  const loaded = await doWork(open, work);
  const seconds = (await cpuSeconds(container)) - before;
  const wanted = work === "handshake" ? "done" : "200";
  if (loaded.outcomes[wanted] !== loaded.requests)
    throw new Error(`${work}: not every answer was ${wanted}: ${JSON.stringify(loaded.outcomes)}`);
  return { perCpuSecond: loaded.requests / seconds, p99Ms: loaded.p99Ms };
}

async function doWork(open: () => Promise<Socket>, work: Work): Promise<Loaded> {
  if (work === "handshake") return shakeHands(open, times.handshake, connections);
  const path = `/${work}?size=${sizes[work]}`;
  let left = times[work];
  return load({ open, connections, host, next: () => (left-- > 0 ? path : undefined) });
}

/** Processor time of all in the container so far. */
async function cpuSeconds(container: Container): Promise<number> {
  const seen = await container.stats({ stream: false, "one-shot": true });
  return seen.cpu_stats.cpu_usage.total_usage / 1e9;
}

function report(figures: Record<string, Record<Work, Figures[]>>): Awaited<ReturnType<Benchmark["run"]>> {
  const median = (name: string, work: Work, key: keyof Figures): number => {
    const sorted = (figures[name]?.[work] ?? []).map((it) => it[key]).toSorted((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  };
  const ratios = (name: string, key: keyof Figures) =>
    Object.fromEntries(works.map((work) => [work, round(median("ours", work, key) / median(name, work, key))]));
  const names = Object.keys(figures);
  return {
    table: columns([
      ["", ...works.flatMap((work) => [`${work}/cpu s`, "p99 ms"])],
      ...names.map((name) => [
        name,
        ...works.flatMap((work) => [
          median(name, work, "perCpuSecond").toFixed(0),
          median(name, work, "p99Ms").toFixed(1),
        ]),
      ]),
    ]),
    result: {
      vsStockNginx: ratios("stockNginx", "perCpuSecond"),
      vsCaddy: ratios("caddy", "perCpuSecond"),
      p99VsStockNginx: ratios("stockNginx", "p99Ms"),
      p99VsCaddy: ratios("caddy", "p99Ms"),
      perCpuSecond: Object.fromEntries(
        names.map((name) => [
          name,
          Object.fromEntries(works.map((work) => [work, Math.round(median(name, work, "perCpuSecond"))])),
        ]),
      ),
    },
  };
}

const round = (value: number): number => Math.round(value * 100) / 100;
