/**
 * A PoP with one site beside one with a hundred sites and two hundred rules by path, on the same work: requests per second of processor time, hits and misses, and
 * the memory that the further sites take. Needs Docker.
 */
import type { ImageSpec, PathRule, ProxySite } from "../image/spec.ts";
import { enterTls, https } from "../test/image/support/client.ts";
import { load } from "../test/image/support/load.ts";
import { type LoadNetwork, startLoadOrigin } from "../test/image/support/loaded.ts";
import { Bench, build, until } from "../test/image/support/pop.ts";
import { outward, stored } from "../test/image/support/spec.ts";
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
const works = ["hit", "miss"] as const;
type Work = (typeof works)[number];
/** In turns, so that what else the machine does meets both; the median of the rounds counts. */
const rounds = 9;
const times: Record<Work, number> = { hit: 6000, miss: 3000 };
const connections = 16;
const size = 1024;

export const run: Benchmark["run"] = async (log) => {
  const bench = new Bench("bench-sites");
  try {
    await bench.sweep();
    await bench.createNetwork(network);
    await startLoadOrigin(bench, network);
    log("sites: images");
    const servers = { one: await start(bench, 1), hundred: await start(bench, siteCount) };
    const memoryMb = { one: await memory(servers.one), hundred: await memory(servers.hundred) };
    const perCpuSecond: Record<keyof typeof servers, Record<Work, number[]>> = {
      one: { hit: [], miss: [] },
      hundred: { hit: [], miss: [] },
    };
    for (let turn = 1; turn <= rounds; turn++) {
      log(`sites: round ${turn} of ${rounds}`);
      for (const name of ["one", "hundred"] as const)
        for (const work of works) perCpuSecond[name][work].push(await measure(servers[name], work, turn));
    }
    return report(perCpuSecond, memoryMb);
  } finally {
    await bench.sweep();
  }
};

/** The last one is asked: all others, and its own rules, are looked at before it. */
const hostOf = (number: number): string => `site-${number}.example.test`;

/** Nobody is turned away; but everybody is counted, as on any site. */
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

async function start(bench: Bench, count: number): Promise<Measured> {
  const host = hostOf(count);
  const image = await build(`bench-sites-${count}`, spec(count));
  const pop = await bench.start(image, { volume: await bench.newVolume(), networkName: network.name });
  await until(
    () => https({ port: pop.https, host, path: `/small?size=${size}` }).catch(() => undefined),
    (seen) => seen?.status === 200,
    60,
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

/** Of all processes, without files that the kernel keeps as long as nobody needs the room. */
async function memory({ container }: Server): Promise<number> {
  const { memory_stats } = await container.stats({ stream: false, "one-shot": true });
  return round((memory_stats.usage - (memory_stats.stats.inactive_file ?? 0)) / 1024 / 1024);
}

function report(
  perCpuSecond: Record<"one" | "hundred", Record<Work, number[]>>,
  memoryMb: Record<"one" | "hundred", number>,
): Awaited<ReturnType<Benchmark["run"]>> {
  const ratios = Object.fromEntries(
    works.map((work) => [work, round(ratioByRounds(perCpuSecond.hundred[work], perCpuSecond.one[work]))]),
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
    result: { hundredVsOne: ratios, memoryMb },
  };
}
