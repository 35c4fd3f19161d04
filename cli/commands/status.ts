/** `status`: what stands above the PoPs, then every PoP in a row. One call for the list, one for addresses, one a PoP for what it says of itself, side by side. */
import { table } from "../../local/table.ts";
import { endsSoon, leftText } from "../certificate-end.ts";
import { bytesText, summedConnections, targetText } from "../connections.ts";
import { fitColumns, wrap } from "../fit.ts";
import { type Fleet, type LivePop, readFleet } from "../fleet.ts";
import { addressesText, addressProblems, dnsText, type Head, readHead } from "../head.ts";
import { readHealth } from "../health.ts";
import { maintenanceProblems, maintenanceText } from "../in-maintenance.ts";
import { isLocal, type Stack } from "../stack.ts";
import { type PopStatus, statusOf, type Told } from "../status-of.ts";
import { type Tone, tint } from "../style.ts";
import { inState, leaseOf } from "../under-way.ts";
import { watch } from "../watch.ts";
import { type ExitCode, print, printJson, type World } from "../world.ts";

export interface StatusOptions {
  json?: boolean;
  watch?: boolean;
  /** Seconds between two looks. */
  interval: number;
}

export interface Status extends Head {
  stack: string;
  app: string;
  pops: PopStatus[];
  /** Sentences about the app as a whole; those of PoPs stand with them. */
  problems: string[];
}

export async function status(world: World, stack: Stack, options: StatusOptions): Promise<ExitCode> {
  if (options.watch) {
    const { json = false, interval } = options;
    const show = async () => {
      const seen = await readStatus(world, stack);
      return json ? JSON.stringify(seen) : statusText(world, seen);
    };
    return watch(
      world,
      { title: `${stack.name}, ${stack.wanted().app}`, plain: json, intervalMs: interval * 1000 },
      show,
    );
  }
  const seen = await readStatus(world, stack);
  if (options.json) printJson(world, seen);
  else print(world, statusText(world, seen));
  return [seen, ...seen.pops].every(({ problems }) => problems.length === 0) ? 0 : 3;
}

async function readStatus(world: World, stack: Stack): Promise<Status> {
  const fleet = await readFleet(stack);
  const { app } = fleet;
  const dns = isLocal(world, stack.name) ? { ...world, resolve: undefined } : world;
  const [pops, head] = await Promise.all([look(world, stack, fleet), readHead(dns, fleet, stack.wanted().config)]);
  // Before anything is deployed nothing is missing that the PoPs do not tell of.
  const problems = pops.some(({ machine }) => machine !== null) ? addressProblems(app, head) : [];
  problems.push(...maintenanceProblems(pops));
  return { stack: stack.name, app, ...head, pops, problems };
}

/** All of them at once: what Fly limits, it limits by machine. Who is well is asked once; of the others it is asked why. */
async function look(world: World, stack: Stack, fleet: Fleet): Promise<PopStatus[]> {
  const isMissing = fleet.pops.some(({ machine }) => machine === undefined);
  const [state, told] = await Promise.all([
    isMissing ? inState(world, stack) : undefined,
    Promise.all(fleet.pops.map((pop) => (isLive(pop) ? lookAt(world, fleet, pop) : {}))),
  ]);
  return fleet.pops.map((pop, at) => {
    const known = pop.machine ? undefined : state?.(pop.name);
    return statusOf(pop, { ...told[at], unread: fleet.unread, ...(known && { state: known }) });
  });
}

async function lookAt(world: World, fleet: Fleet, pop: LivePop): Promise<Told> {
  const { machine } = pop;
  if (machine.host_status === "unreachable") return {};
  const { leased, ...told } = machine.state === "started" ? await readHealth(fleet, pop) : {};
  const isOff = leased || machine.state !== "started" || machine.cordoned;
  const lease = isOff ? await leaseOf(fleet, pop, world) : undefined;
  return { ...told, ...(lease && { lease }) };
}

const isLive = (pop: Fleet["pops"][number]): pop is LivePop => pop.machine !== undefined;

// "made from" is as much of the context's digest as the image's tag has.
const columns = [
  ...[
    "PoP",
    "region",
    "state",
    "version",
    "image",
    "made from",
    "checks",
    "tailnet",
    "certificates",
    "memory",
    "hits",
    "rejected",
  ],
];
/** What a narrow window does without, in this order. */
const dropped = [
  "made from",
  "rejected",
  "version",
  "image",
  "region",
  "memory",
  "hits",
  "tailnet",
  "certificates",
].map((name) => columns.indexOf(name));

export function statusText(world: World, { stack, app, pops, problems, ...head }: Status): string {
  const width = world.window?.()?.columns ?? Number.POSITIVE_INFINITY;
  const rows = pops.map((it) => [
    it.pop,
    it.region,
    tint(world, stateTone(it), it.cordoned ? `${it.state}, cordoned` : it.state),
    it.version ?? "-",
    digestOf(it.image),
    it.context?.slice(0, 16) ?? "-",
    tint(world, it.checks.passing < it.checks.all ? "bad" : undefined, `${it.checks.passing}/${it.checks.all}`),
    tint(world, it.tailnet === "degraded" ? "warning" : undefined, it.tailnet ?? "-"),
    certificatesText(world, it.certificates),
    it.memory ? `${megabytes(it.memory.usedBytes)}/${megabytes(it.memory.limitBytes)} MB` : "-",
    hitRateText(it.traffic),
    tint(world, it.traffic?.rejected ? "warning" : undefined, it.traffic === null ? "-" : String(it.traffic.rejected)),
  ]);
  const told = [...problems, ...pops.flatMap((it) => it.problems)];
  const top = [
    `${tint(world, "head", stack)}  ${app}  ${tint(world, head.missing.length > 0 ? "bad" : undefined, addressesText(head))}`,
    ...dnsText(head),
    ...[maintenanceText(pops)].flatMap((line) => (line ? [tint(world, "warning", line)] : [])),
  ];
  const names = columns.map((cell) => tint(world, "head", cell));
  return [
    ...top.map((it) => wrap(it, width)),
    "",
    table(fitColumns([names, ...rows], width, dropped)),
    ...originsText(world, pops, width),
    ...connectionsText(world, pops, width),
    ...(told.length > 0 ? ["", ...told.map((it) => tint(world, "warning", wrap(it, width)))] : []),
  ].join("\n");
}

/** The way from each PoP to each origin, where there is a tailnet. */
function originsText(world: World, pops: readonly PopStatus[], width: number): string[] {
  const rows = pops.flatMap(({ pop, origins }) =>
    origins.map(({ origin, node, path, latencyMs }) => [
      pop,
      origin,
      node ?? "-",
      tint(world, path === null ? "bad" : path === "direct" ? "good" : "warning", path ?? "no way"),
      latencyMs === null ? "-" : `${latencyMs} ms`,
    ]),
  );
  if (rows.length === 0) return [];
  const head = ["PoP", "origin", "node", "path", "latency"].map((cell) => tint(world, "head", cell));
  return ["", table(fitColumns([head, ...rows], width, [2, 4]))];
}

/** What became of connections to ports, and to sites whose TLS ends at home, over all PoPs. */
function connectionsText(world: World, pops: readonly PopStatus[], width: number): string[] {
  const all = summedConnections(pops.map(({ connections }) => new Map(Object.entries(connections))));
  if (all.size === 0) return [];
  const head = ["connections to", "served", "refused", "failed", "sent", "received"];
  const rows = [...all].map(([to, { served, refused, failed, sentBytes, receivedBytes }]) => [
    targetText(to),
    String(served),
    tint(world, refused > 0 ? "warning" : undefined, String(refused)),
    tint(world, failed > 0 ? "bad" : undefined, String(failed)),
    bytesText(sentBytes),
    bytesText(receivedBytes),
  ]);
  return ["", table(fitColumns([head.map((cell) => tint(world, "head", cell)), ...rows], width, [5, 4]))];
}

function stateTone({ state, cordoned }: PopStatus): Tone {
  if (state !== "started") return "bad";
  return cordoned ? "warning" : "good";
}

/** Enough of a digest to tell two images apart. */
const digestOf = (image: string | null): string => image?.split("@sha256:")[1]?.slice(0, 12) ?? image ?? "-";

const megabytes = (bytes: number): number => Math.round(bytes / 1024 / 1024);

function hitRateText(traffic: PopStatus["traffic"]): string {
  if (traffic === null || traffic.hitRate === null) return "-";
  return `${Math.round(traffic.hitRate * 100)} %`;
}

/** The one that ends first. */
function certificatesText(world: World, all: PopStatus["certificates"]): string {
  const [first] = all
    .flatMap(({ begins, expires, selfSigned }) =>
      expires === null
        ? []
        : [{ begins: begins === null ? undefined : Date.parse(begins), ends: Date.parse(expires), selfSigned }],
    )
    .toSorted((a, b) => a.ends - b.ends);
  if (!first) return "-";
  const now = world.clock.now();
  const text = first.ends < now ? "expired" : leftText(first.ends - now);
  return tint(world, endsSoon(first, now) ? "bad" : undefined, first.selfSigned ? `${text}, self-signed` : text);
}
