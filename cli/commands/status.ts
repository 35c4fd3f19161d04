/** `status`: addresses and DNS, then one row per PoP. One call for the list, one for addresses and one per PoP for its health, concurrently. */
import { table } from "../../lib/table.ts";
import { type AppHeader, addressesText, addressProblems, dnsText, readAppHeader } from "../app-header.ts";
import { endsSoon, leftText } from "../certificate-expiry.ts";
import { bytesText, sumConnections, targetText } from "../connections.ts";
import { type CliContext, type ExitCode, print, printJson } from "../context.ts";
import { readDeploymentStates, readLease } from "../deployment-state.ts";
import { fitColumns, wrap } from "../fit.ts";
import { type DeployedPop, type Fleet, readFleet } from "../fleet.ts";
import { readHealth } from "../health.ts";
import { maintenanceProblems, maintenanceText } from "../maintenance-status.ts";
import { buildPopStatus, type PopDetails, type PopStatus } from "../pop-status.ts";
import { isLocal, type Stack } from "../stack.ts";
import { type Style, styled } from "../style.ts";
import { watch } from "../watch.ts";

export interface StatusOptions {
  json?: boolean;
  watch?: boolean;
  /** Seconds between refreshes. */
  interval: number;
}

export interface Status extends AppHeader {
  stack: string;
  app: string;
  pops: PopStatus[];
  /** Problems of the app as a whole. Those of PoPs are in `pops`. */
  problems: string[];
}

export async function status(context: CliContext, stack: Stack, options: StatusOptions): Promise<ExitCode> {
  if (options.watch) {
    const { json = false, interval } = options;
    const show = async () => {
      const seen = await readStatus(context, stack);
      return json ? JSON.stringify(seen) : statusText(context, seen);
    };
    return watch(
      context,
      { title: `${stack.name}, ${stack.lenientConfig().app}`, plain: json, intervalMs: interval * 1000 },
      show,
    );
  }
  const seen = await readStatus(context, stack);
  if (options.json) printJson(context, seen);
  else print(context, statusText(context, seen));
  return [seen, ...seen.pops].every(({ problems }) => problems.length === 0) ? 0 : 3;
}

async function readStatus(context: CliContext, stack: Stack): Promise<Status> {
  const fleet = await readFleet(stack);
  const { app } = fleet;
  const dns = isLocal(context, stack.name) ? { ...context, resolve: undefined } : context;
  const [pops, head] = await Promise.all([
    readPopStatuses(context, stack, fleet),
    readAppHeader(dns, fleet, stack.lenientConfig().config),
  ]);
  // Before the first deployment, the PoPs report everything that is missing.
  const problems = pops.some(({ machine }) => machine !== null) ? addressProblems(app, head) : [];
  problems.push(...maintenanceProblems(pops));
  return { stack: stack.name, app, ...head, pops, problems };
}

/** Queries all PoPs concurrently, because Fly's rate limits apply per machine. Healthy PoPs need one call; the others are queried for the reason. */
async function readPopStatuses(context: CliContext, stack: Stack, fleet: Fleet): Promise<PopStatus[]> {
  const isMissing = fleet.pops.some(({ machine }) => machine === undefined);
  const [state, details] = await Promise.all([
    isMissing ? readDeploymentStates(context, stack) : undefined,
    Promise.all(fleet.pops.map((pop) => (isLive(pop) ? readPopDetails(context, fleet, pop) : {}))),
  ]);
  return fleet.pops.map((pop, at) => {
    const known = pop.machine ? undefined : state?.(pop.name);
    return buildPopStatus(pop, {
      ...details[at],
      isConfigInvalid: fleet.isConfigInvalid,
      ...(known && { state: known }),
    });
  });
}

async function readPopDetails(context: CliContext, fleet: Fleet, pop: DeployedPop): Promise<PopDetails> {
  const { machine } = pop;
  if (machine.host_status === "unreachable") return {};
  const { leased, ...details } = machine.state === "started" ? await readHealth(fleet, pop) : {};
  const isOff = leased || machine.state !== "started" || machine.cordoned;
  const lease = isOff ? await readLease(fleet, pop, context) : undefined;
  return { ...details, ...(lease && { lease }) };
}

const isLive = (pop: Fleet["pops"][number]): pop is DeployedPop => pop.machine !== undefined;

// "made from" shows as much of the build context's digest as the image's tag has.
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
/** Columns to drop in a narrow window, in this order. */
const droppableColumns = [
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

function statusText(context: CliContext, { stack, app, pops, problems, ...head }: Status): string {
  const width = context.window?.()?.columns ?? Number.POSITIVE_INFINITY;
  const rows = pops.map((it) => [
    it.pop,
    it.region,
    styled(context, stateStyle(it), it.cordoned ? `${it.state}, cordoned` : it.state),
    it.version ?? "-",
    digestOf(it.image),
    it.context?.slice(0, 16) ?? "-",
    styled(context, it.checks.passing < it.checks.all ? "bad" : undefined, `${it.checks.passing}/${it.checks.all}`),
    styled(context, it.tailnet === "degraded" ? "warning" : undefined, it.tailnet ?? "-"),
    certificatesText(context, it.certificates),
    it.memory ? `${megabytes(it.memory.usedBytes)}/${megabytes(it.memory.limitBytes)} MB` : "-",
    hitRateText(it.traffic),
    styled(
      context,
      it.traffic?.rejected ? "warning" : undefined,
      it.traffic === null ? "-" : String(it.traffic.rejected),
    ),
  ]);
  const messages = [...problems, ...pops.flatMap((it) => it.problems)];
  const top = [
    `${styled(context, "head", stack)}  ${app}  ${styled(context, head.missing.length > 0 ? "bad" : undefined, addressesText(head))}`,
    ...dnsText(head),
    ...[maintenanceText(pops)].flatMap((line) => (line ? [styled(context, "warning", line)] : [])),
  ];
  const names = columns.map((cell) => styled(context, "head", cell));
  return [
    ...top.map((it) => wrap(it, width)),
    "",
    table(fitColumns([names, ...rows], width, droppableColumns)),
    ...originsText(context, pops, width),
    ...connectionsText(context, pops, width),
    ...(messages.length > 0 ? ["", ...messages.map((it) => styled(context, "warning", wrap(it, width)))] : []),
  ].join("\n");
}

/** The path from each PoP to each origin in the tailnet. */
function originsText(context: CliContext, pops: readonly PopStatus[], width: number): string[] {
  const rows = pops.flatMap(({ pop, origins }) =>
    origins.map(({ origin, node, path, latencyMs }) => [
      pop,
      origin,
      node ?? "-",
      styled(context, path === null ? "bad" : path === "direct" ? "good" : "warning", path ?? "no path"),
      latencyMs === null ? "-" : `${latencyMs} ms`,
    ]),
  );
  if (rows.length === 0) return [];
  const head = ["PoP", "origin", "node", "path", "latency"].map((cell) => styled(context, "head", cell));
  return ["", table(fitColumns([head, ...rows], width, [2, 4]))];
}

/** Connections to ports and to sites with passThrough, summed over all PoPs. */
function connectionsText(context: CliContext, pops: readonly PopStatus[], width: number): string[] {
  const all = sumConnections(pops.map(({ connections }) => new Map(Object.entries(connections))));
  if (all.size === 0) return [];
  const head = ["connections to", "served", "refused", "failed", "sent", "received"];
  const rows = [...all].map(([to, { served, refused, failed, sentBytes, receivedBytes }]) => [
    targetText(to),
    String(served),
    styled(context, refused > 0 ? "warning" : undefined, String(refused)),
    styled(context, failed > 0 ? "bad" : undefined, String(failed)),
    bytesText(sentBytes),
    bytesText(receivedBytes),
  ]);
  return ["", table(fitColumns([head.map((cell) => styled(context, "head", cell)), ...rows], width, [5, 4]))];
}

function stateStyle({ state, cordoned }: PopStatus): Style {
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

/** The certificate that expires first. */
function certificatesText(context: CliContext, all: PopStatus["certificates"]): string {
  const [first] = all
    .flatMap(({ begins, expires, selfSigned }) =>
      expires === null
        ? []
        : [{ begins: begins === null ? undefined : Date.parse(begins), ends: Date.parse(expires), selfSigned }],
    )
    .toSorted((a, b) => a.ends - b.ends);
  if (!first) return "-";
  const now = context.clock.now();
  const text = first.ends < now ? "expired" : leftText(first.ends - now);
  return styled(context, endsSoon(first, now) ? "bad" : undefined, first.selfSigned ? `${text}, self-signed` : text);
}
