/**
 * The PoP's nginx beside Debian's own and beside Caddy, on the same work: requests per second of processor time (the container's cgroup has it), and how long
 * the slowest hundredth takes. What else runs in a PoP counts as its own. Needs Docker.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ImageSpec } from "../image/spec.ts";
import { type Loaded, load, shakeHands } from "../test/image/support/load.ts";
import { type LoadNetwork, startLoadOrigin } from "../test/image/support/loaded.ts";
import { ImageHarness } from "../test/image/support/pop.ts";
import { outward, stored } from "../test/image/support/spec.ts";
import { type Benchmark, columns } from "./benchmark.ts";
import { measured, median, ratioByRounds, round, type Server, startServers } from "./edge/servers.ts";

export const title =
  "the PoP's nginx beside Debian's own and Caddy: requests per second of processor, slowest hundredth";

const host = "measured.example.test";
const network: LoadNetwork = {
  name: "fly-pops-bench-edge",
  subnet: "172.31.205.0/24",
  gateway: "172.31.205.1",
  origin: "172.31.205.10", // edge/nginx-site.conf has it too
};

const sizes = { small: 1024, large: 1024 * 1024 };
const works = ["small", "large", "handshake"] as const;
type Work = (typeof works)[number];
/** In turns, so that what else the machine does meets all of them; the median of the rounds counts. */
const rounds = 9;
const times: Record<Work, number> = { small: 6000, large: 200, handshake: 1000 };
const connections = 16;

interface Figures {
  perCpuSecond: number;
  p99Ms: number;
}

export const run: Benchmark["run"] = async (log) => {
  const harness = new ImageHarness("bench-edge");
  try {
    await harness.sweep();
    await harness.createNetwork(network);
    await startLoadOrigin(harness, network);
    log("edge: images");
    const servers = await startServers(harness, {
      spec,
      host,
      path: "/small?size=1",
      networkName: network.name,
      stockNginxConf: read("nginx-site.conf"),
      caddyfile: read("Caddyfile"),
      files: Object.fromEntries(Object.entries(sizes).map(([name, bytes]) => [`objects/${name}`, "x".repeat(bytes)])),
    });
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
    await harness.sweep();
  }
};

const read = (name: string): string => readFileSync(join(import.meta.dirname, "edge", name), "utf8");

const spec: ImageSpec = {
  ...outward(),
  sites: [
    {
      kind: "proxy",
      host,
      origins: [`http://${network.origin}:8080`],
      cache: stored(3600),
    },
  ],
};

async function measure(server: Server, work: Work): Promise<Figures> {
  const wanted = work === "handshake" ? "done" : "200";
  const { requests, cpuSeconds, p99Ms } = await measured(server, work, () => doWork(server, work), wanted);
  return { perCpuSecond: requests / cpuSeconds, p99Ms };
}

async function doWork({ open }: Server, work: Work): Promise<Loaded> {
  if (work === "handshake") return shakeHands(open, times.handshake, connections);
  const path = `/${work}?size=${sizes[work]}`;
  let left = times[work];
  return load({ open, connections, host, next: () => (left-- > 0 ? path : undefined) });
}

function report(figures: Record<string, Record<Work, Figures[]>>): Awaited<ReturnType<Benchmark["run"]>> {
  const all = (name: string, work: Work, key: keyof Figures): number[] =>
    (figures[name]?.[work] ?? []).map((it) => it[key]);
  const ratios = (name: string, key: keyof Figures) =>
    Object.fromEntries(works.map((work) => [work, round(ratioByRounds(all("ours", work, key), all(name, work, key)))]));
  const of = (name: string, work: Work, key: keyof Figures): number => median(all(name, work, key));
  const names = Object.keys(figures);
  return {
    table: columns([
      ["", ...works.flatMap((work) => [`${work}/cpu s`, "p99 ms"])],
      ...names.map((name) => [
        name,
        ...works.flatMap((work) => [of(name, work, "perCpuSecond").toFixed(0), of(name, work, "p99Ms").toFixed(1)]),
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
          Object.fromEntries(works.map((work) => [work, Math.round(of(name, work, "perCpuSecond"))])),
        ]),
      ),
    },
  };
}
