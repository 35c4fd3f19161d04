/** `status`: every PoP in a row. One call for the list, one a PoP for what it says of itself, side by side. */
import { table } from "../../local/table.ts";
import { sleep } from "../../providers/clock.ts";
import { type Fleet, type LivePop, readFleet } from "../fleet.ts";
import { readHealth } from "../health.ts";
import type { Stack } from "../stack.ts";
import { type PopStatus, statusOf } from "../status-of.ts";
import { type Tone, tint } from "../style.ts";
import { type ExitCode, print, printJson, type World } from "../world.ts";

export interface StatusOptions {
  json?: boolean;
  watch?: boolean;
  /** Seconds between two looks. */
  interval: number;
}

export async function status(world: World, stack: Stack, options: StatusOptions): Promise<ExitCode> {
  for (;;) {
    const pops = await look(await readFleet(stack));
    if (options.json) printJson(world, { stack: stack.name, app: stack.config().app, pops });
    else {
      // Home, and what is below erased: no flicker, nothing left of longer lines.
      if (options.watch && world.isTerminal) world.out("\x1b[H\x1b[J");
      print(world, statusText(world, pops));
    }
    if (!options.watch) return pops.every(({ problems }) => problems.length === 0) ? 0 : 3;
    if (!world.isTerminal && !options.json) print(world, "");
    await sleep(world.clock, options.interval * 1000, world.interrupted);
  }
}

/** All of them at once: what Fly limits, it limits by machine. */
export const look = (fleet: Fleet): Promise<PopStatus[]> =>
  Promise.all(fleet.pops.map(async (pop) => statusOf(pop, canBeAsked(pop) ? await readHealth(fleet, pop) : {})));

const canBeAsked = (pop: Fleet["pops"][number]): pop is LivePop =>
  pop.machine?.state === "started" && pop.machine.host_status !== "unreachable";

// "made from" is as much of the context's digest as the image's tag has.
const columns = [
  ...["PoP", "region", "state", "version", "image", "made from", "checks", "tailnet", "certificates", "memory", "hits"],
];

export function statusText(world: World, pops: readonly PopStatus[]): string {
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
  ]);
  const told = pops.flatMap(({ problems }) => problems);
  const head = columns.map((cell) => tint(world, "head", cell));
  return [
    table([head, ...rows]),
    ...originsText(world, pops),
    ...(told.length > 0 ? ["", ...told.map((it) => tint(world, "warning", it))] : []),
  ].join("\n");
}

/** The way from each PoP to each origin, where there is a tailnet. */
function originsText(world: World, pops: readonly PopStatus[]): string[] {
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
  return ["", table([head, ...rows])];
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
    .flatMap(({ expires, selfSigned }) => (expires === null ? [] : [{ at: Date.parse(expires), selfSigned }]))
    .toSorted((a, b) => a.at - b.at);
  if (!first) return "-";
  const days = Math.floor((first.at - world.clock.now()) / 86_400_000);
  const text = days < 0 ? "expired" : `${days} d`;
  return tint(world, days < 7 ? "bad" : undefined, first.selfSigned ? `${text}, self-signed` : text);
}
