/** Polls the PoPs while the page is open: machines with one list call, health and counters through exec, concurrently. */
import type { Clock } from "../../lib/clock.ts";
import { redact } from "../../lib/redact.ts";
import type { Head, Picture } from "../../status-page/picture.ts";
import { type Fleet, type PopObservation, readFleet } from "../fleet.ts";
import { probePop, readHealth } from "../health.ts";
import { openConnectionsIn, parseMetrics } from "../metrics.ts";
import { buildPopStatus } from "../pop-status.ts";
import type { Stack } from "../stack.ts";
import { pictureOf, type Sample } from "./picture.ts";

export interface Feed {
  picture(): Picture;
  /** Keeps polling until the returned function is called. */
  watch(): () => void;
}

interface FeedOptions {
  clock: Clock;
  head: Head;
  /** Redacted from what the page gets. */
  secrets: ReadonlySet<string>;
  /** Called after each poll. */
  changed(): void;
}

/** Each poll runs two programs per PoP. Fly allows one call per second and machine, and other commands need some of them. */
const everyMs = 5_000;
/** Rates are averaged over this time, so that they appear soon and do not flicker. */
const windowMs = 15_000;

export function createFeed(stack: Stack, { clock, head, secrets, changed }: FeedOptions): Feed {
  /** Oldest first. */
  let rounds: Sample[][] = [];
  let problem: string | null = null;
  let watchers = 0;
  let cancel = () => {};
  let isSampling = false;

  async function round(): Promise<void> {
    isSampling = true;
    try {
      const latest = await takeSamples(await readFleet(stack), clock);
      rounds = [...rounds.filter(([first]) => first && clock.now() - first.at <= windowMs), latest];
      problem = null;
    } catch (error) {
      problem = redact(error instanceof Error ? error.message : String(error), [...secrets]);
    }
    isSampling = false;
    changed();
    if (watchers > 0) cancel = clock.after(rounds.length < 2 ? everyMs / 5 : everyMs, () => void round());
  }

  return {
    picture: () => pictureOf({ ...head, problem }, clock.now(), rounds[0] ?? [], rounds.at(-1) ?? []),
    watch() {
      watchers += 1;
      if (watchers === 1 && !isSampling) void round();
      return () => {
        watchers -= 1;
        if (watchers === 0) cancel();
      };
    },
  };
}

const takeSamples = (fleet: Fleet, clock: Clock): Promise<Sample[]> =>
  Promise.all(fleet.pops.map((pop) => sampleOf(fleet, pop, clock)));

async function sampleOf(fleet: Fleet, pop: PopObservation, clock: Clock): Promise<Sample> {
  const { machine } = pop;
  if (machine?.state !== "started" || machine.host_status === "unreachable")
    return { pop, status: buildPopStatus(pop, {}), at: clock.now() };
  const live = { ...pop, machine };
  const [health, metrics] = await Promise.all([
    readHealth(fleet, live),
    probePop(fleet, live, "metrics", (text) => {
      const reading = parseMetrics(text);
      return reading && { reading, connections: openConnectionsIn(text) };
    }),
  ]);
  const { reading, connections } = metrics.value ?? {};
  return {
    pop,
    status: buildPopStatus(pop, health),
    at: clock.now(),
    ...(reading && { reading }),
    ...(connections !== undefined && { connections }),
  };
}
