/** What the PoPs themselves tell of their traffic: `GET /healthz` of each, once a second, as long as a page is open. */
import { z } from "zod";
import { componentKeys, componentsOf } from "../../image/health-report.ts";
import { checkTimeoutSeconds } from "../../image/limits.ts";
import type { Clock } from "../../lib/clock.ts";

/** The part of `pop health`'s answer that is shown. */
const Report = z
  .object({
    ...componentKeys,
    traffic: z.object({ requests: z.number(), cache: z.record(z.string(), z.number()) }),
    memory: z.object({ usedBytes: z.number(), limitBytes: z.number() }).optional(),
  })
  .transform(({ parts, components, ...rest }) => ({ ...rest, components: componentsOf({ parts, components }) }));
export type Report = z.infer<typeof Report>;

/** Over the last seconds. */
export interface PopTraffic {
  requestsPerSecond: number;
  /** Requests the cache answered, of those it could. image/pop/counts/counts.go says which these are. */
  hits: number;
  cacheable: number;
  memory: { usedBytes: number; limitBytes: number } | null;
  reasons: string[];
}

/** Where a PoP tells, host and port on this machine. */
export interface Source {
  machineId: string;
  host: string;
  port: number;
}

interface Sample {
  at: number;
  report: Report;
}

const everyMs = 1_000;
/** As long as Fly's check: a PoP behind which something hangs takes half of it to answer. */
const timeoutMs = checkTimeoutSeconds * 1000;
/** Rates are over this long: nginx hands its counts on once a second, so that less would flicker. */
const windowMs = 5_000;

const hits = ["HIT", "STALE", "UPDATING", "REVALIDATED"];
const cacheable = [...hits, "MISS", "EXPIRED"];

export class TrafficWatch {
  readonly #sources: () => Source[];
  readonly #clock: Clock;
  readonly #samples = new Map<string, Sample[]>();
  #watchers = 0;
  #cancel = () => {};

  constructor(sources: () => Source[], clock: Clock) {
    this.#sources = sources;
    this.#clock = clock;
  }

  /** Watches, until the returned function is called. */
  watch(): () => void {
    this.#watchers += 1;
    if (this.#watchers === 1) void this.#round();
    return () => {
      this.#watchers -= 1;
      if (this.#watchers > 0) return;
      this.#cancel();
      this.#samples.clear();
    };
  }

  /** By machine id; a PoP that does not tell is not there. */
  latest(): Map<string, PopTraffic> {
    const all = [...this.#samples].map(([id, samples]) => [id, rates(samples)] as const);
    return new Map(all.flatMap(([id, traffic]) => (traffic ? [[id, traffic]] : [])));
  }

  async #round(): Promise<void> {
    const sources = this.#sources();
    for (const id of this.#samples.keys()) if (!sources.some((it) => it.machineId === id)) this.#samples.delete(id);
    await Promise.all(
      sources.map(async (source) => {
        const report = await ask(source);
        if (report) this.#add(source.machineId, { at: this.#clock.now(), report });
        else this.#samples.delete(source.machineId);
      }),
    );
    if (this.#watchers > 0) this.#cancel = this.#clock.after(everyMs, () => void this.#round());
  }

  #add(id: string, sample: Sample): void {
    const before = this.#samples.get(id) ?? [];
    const last = before.at(-1);
    // Counters start at 0 with their process: what was counted before is another's.
    const same = last !== undefined && last.report.traffic.requests <= sample.report.traffic.requests ? before : [];
    this.#samples.set(id, [...same.filter(({ at }) => sample.at - at <= windowMs), sample]);
  }
}

/** What happened between the first and the last sample. */
export function rates(samples: Sample[]): PopTraffic | undefined {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last) return undefined;
  const seconds = (last.at - first.at) / 1000;
  const grown = (words: string[]) =>
    words.reduce((sum, it) => sum + (last.report.traffic.cache[it] ?? 0) - (first.report.traffic.cache[it] ?? 0), 0);
  return {
    requestsPerSecond: seconds > 0 ? (last.report.traffic.requests - first.report.traffic.requests) / seconds : 0,
    hits: grown(hits),
    cacheable: grown(cacheable),
    memory: last.report.memory ?? null,
    reasons: Object.entries(last.report.components)
      .filter(([, component]) => component.status !== "ok")
      .map(([name, { status, reason }]) => `${name}: ${reason ?? status}`),
  };
}

/** Undefined if there is no response, or the response is not a PoP's. */
async function ask({ host, port }: Source): Promise<Report | undefined> {
  try {
    const answer = await fetch(`http://${host}:${port}/healthz`, { signal: AbortSignal.timeout(timeoutMs) });
    return Report.safeParse(await answer.json()).data;
  } catch {
    return undefined;
  }
}
