/**
 * A PoP with one site beside one with a hundred sites and two hundred rules by path, on the same work: requests per second of processor time, hits and misses,
 * and the memory that the further sites take. A twin of the first tells how far two of the same are apart. The cache is in memory: on a disk, making a file
 * takes most of a miss's time, twice as much when the disk is busy, and nothing of it is due to the configuration. Needs Docker.
 */
import type { HostConfig } from "dockerode";
import type { ImageSpec, PathRule, ProxySite } from "../image/spec.ts";
import { enterTls, https } from "../test/image/support/client.ts";
import { load } from "../test/image/support/load.ts";
import { type LoadNetwork, startLoadOrigin } from "../test/image/support/loaded.ts";
import { build, ImageHarness } from "../test/image/support/pop.ts";
import { outward, stored } from "../test/image/support/spec.ts";
import { until } from "../test/support/until.ts";
import { type Benchmark, columns } from "./benchmark.ts";
import { measured, median, ratioByRounds, round, type Server } from "./edge/servers.ts";

export const title =
  "one site beside a hundred with two hundred rules by path: requests per second of processor, memory";

const network: LoadNetwork = {
  name: "fly-pops-bench-sites",
  subnet: "172.31.219.0/24",
  gateway: "172.31.219.1",
  origin: "172.31.219.10",
};

const siteCount = 100;
const names = ["one", "twin", "hundred"] as const;
type Name = (typeof names)[number];
const works = ["hit", "miss"] as const;
type Work = (typeof works)[number];
/** In turns, and each time another one first, so that what else the machine does meets all of them; the median of the rounds counts. */
const rounds = 18;
const times: Record<Work, number> = { hit: 3000, miss: 1500 };
const volumeMb = 128;
const volume: HostConfig = { Tmpfs: { "/var": `size=${volumeMb}m,mode=0755` } };
const connections = 16;
const size = 1024;

export const run: Benchmark["run"] = async (log) => {
  const harness = new ImageHarness("bench-sites");
  try {
    await harness.sweep();
    await harness.createNetwork(network);
    await startLoadOrigin(harness, network);
    log("sites: images");
    const servers: Record<Name, Measured> = {
      one: await start(harness, 1),
      twin: await start(harness, 1),
      hundred: await start(harness, siteCount),
    };
    const memoryMb = { one: await memory(servers.one), hundred: await memory(servers.hundred) };
    const perCpuSecond: PerCpuSecond = {
      one: { hit: [], miss: [] },
      twin: { hit: [], miss: [] },
      hundred: { hit: [], miss: [] },
    };
    for (let turn = 1; turn <= rounds; turn++) {
      log(`sites: round ${turn} of ${rounds}`);
      const first = turn % names.length;
      for (const work of works)
        for (const name of [...names.slice(first), ...names.slice(0, first)])
          perCpuSecond[name][work].push(await measure(servers[name], work, turn));
    }
    return report(perCpuSecond, memoryMb);
  } finally {
    await harness.sweep();
  }
};

/** The last one is asked: all others, and its own rules, are looked at before it. */
const hostOf = (number: number): string => `site-${number}.example.test`;

/** No visitor is rejected, but every visitor is counted, as on any site. */
const limit: ProxySite["limit"] = { requests: { count: 100_000, per: "s", burst: 100_000 } };

const rules: PathRule[] = [
  { path: "/api/", kind: "proxy", origins: [`http://${network.origin}:8080`], stripPrefix: true },
  { path: "*.css", kind: "proxy", origins: [`http://${network.origin}:8080`], cache: stored(86_400) },
];

const spec = (count: number): ImageSpec => ({
  ...outward(),
  sites: Array.from(
    { length: count },
    (_, at): ProxySite => ({
      kind: "proxy",
      host: hostOf(at + 1),
      origins: [`http://${network.origin}:8080`],
      cache: stored(3600),
      ...(limit && { limit }),
      ...(count > 1 && { paths: rules }),
    }),
  ),
});

type Measured = Server & { host: string };
type PerCpuSecond = Record<Name, Record<Work, number[]>>;

async function start(harness: ImageHarness, count: number): Promise<Measured> {
  const host = hostOf(count);
  const image = await build(`bench-sites-${count}`, spec(count));
  const pop = await harness.start(image, {
    volume,
    networkName: network.name,
    // The volume's memory is the container's as well.
    memoryMb: 256 + volumeMb,
  });
  await until(
    () => https({ port: pop.https, host, path: `/small?size=${size}` }).catch(() => undefined),
    (seen) => seen?.status === 200,
    { seconds: 60 },
  );
  return { container: pop.container, open: () => enterTls(pop.https, { servername: host }), host };
}

async function measure(server: Measured, work: Work, turn: number): Promise<number> {
  let left = times[work];
  const path = () => `/small?size=${size}${work === "miss" ? `&turn=${turn}&request=${left}` : ""}`;
  const next = () => (left-- > 0 ? path() : undefined);
  const { requests, cpuSeconds } = await measured(server, work, () =>
    load({ open: server.open, connections, host: server.host, next }),
  );
  return requests / cpuSeconds;
}

/** Of all processes, without files that the kernel keeps as long as no process needs the room. */
async function memory({ container }: Server): Promise<number> {
  const { memory_stats } = await container.stats({ stream: false, "one-shot": true });
  return round((memory_stats.usage - (memory_stats.stats.inactive_file ?? 0)) / 1024 / 1024);
}

function report(
  perCpuSecond: PerCpuSecond,
  memoryMb: Record<"one" | "hundred", number>,
): Awaited<ReturnType<Benchmark["run"]>> {
  const ratios = (name: Name) =>
    Object.fromEntries(
      works.map((work) => [work, round(ratioByRounds(perCpuSecond[name][work], perCpuSecond.one[work]))]),
    );
  const row = (name: "one" | "hundred") => [
    ...works.map((work) => median(perCpuSecond[name][work]).toFixed(0)),
    memoryMb[name].toFixed(1),
  ];
  return {
    table: columns([
      ["", "hits/cpu s", "misses/cpu s", "MB"],
      ["1 site", ...row("one")],
      [`${siteCount} sites, ${siteCount * rules.length} rules`, ...row("hundred")],
    ]),
    result: { hundredVsOne: ratios("hundred"), twinVsOne: ratios("twin"), memoryMb },
  };
}
