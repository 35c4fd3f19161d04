/** Looks at the PoPs again and again while somebody looks at the page: machines in one list, health and counters by exec, side by side. */
import type { Clock } from "../../providers/clock.ts";
import { redact } from "../../providers/redact.ts";
import type { Head, Picture } from "../../status-page/picture.ts";
import { type Fleet, type PopSeen, readFleet } from "../fleet.ts";
import { askPop, readHealth } from "../health.ts";
import { openConnectionsIn, parseMetrics } from "../metrics.ts";
import type { Stack } from "../stack.ts";
import { statusOf } from "../status-of.ts";
import { pictureOf, type Sample } from "./picture.ts";

export interface Feed {
  picture(): Picture;
  /** Somebody looks, until the returned function is called. */
  watch(): () => void;
}

interface FeedOptions {
  clock: Clock;
  head: Head;
  /** Blotted out of what the page is told. */
  secrets: ReadonlySet<string>;
  /** Something is new. */
  changed(): void;
}

/** Two programs a PoP and look: Fly takes one call a second and machine, and these are not all there is. */
const everyMs = 5_000;
/** Rates are over this long, so that they come soon and do not flicker. */
const windowMs = 15_000;

export function createFeed(stack: Stack, { clock, head, secrets, changed }: FeedOptions): Feed {
  /** The oldest first. */
  let looks: Sample[][] = [];
  let problem: string | null = null;
  let watchers = 0;
  let cancel = () => {};
  let looking = false;

  async function round(): Promise<void> {
    looking = true;
    try {
      const latest = await lookAt(await readFleet(stack), clock);
      looks = [...looks.filter(([first]) => first && clock.now() - first.at <= windowMs), latest];
      problem = null;
    } catch (error) {
      problem = redact(error instanceof Error ? error.message : String(error), [...secrets]);
    }
    looking = false;
    changed();
    if (watchers > 0) cancel = clock.after(looks.length < 2 ? everyMs / 5 : everyMs, () => void round());
  }

  return {
    picture: () => pictureOf({ ...head, problem }, clock.now(), looks[0] ?? [], looks.at(-1) ?? []),
    watch() {
      watchers += 1;
      if (watchers === 1 && !looking) void round();
      return () => {
        watchers -= 1;
        if (watchers === 0) cancel();
      };
    },
  };
}

const lookAt = (fleet: Fleet, clock: Clock): Promise<Sample[]> =>
  Promise.all(fleet.pops.map((pop) => sampleOf(fleet, pop, clock)));

async function sampleOf(fleet: Fleet, pop: PopSeen, clock: Clock): Promise<Sample> {
  const { machine } = pop;
  if (machine?.state !== "started" || machine.host_status === "unreachable")
    return { pop, status: statusOf(pop, {}), at: clock.now() };
  const live = { ...pop, machine };
  const [health, metrics] = await Promise.all([
    readHealth(fleet, live),
    askPop(fleet, live, "metrics", (text) => {
      const reading = parseMetrics(text);
      return reading && { reading, connections: openConnectionsIn(text) };
    }),
  ]);
  const { reading, connections } = metrics.value ?? {};
  return {
    pop,
    status: statusOf(pop, health),
    at: clock.now(),
    ...(reading && { reading }),
    ...(connections !== undefined && { connections }),
  };
}
