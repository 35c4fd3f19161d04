/** What a PoP counts, read from its `/metrics`. Pure: text in, counters out, and rates between two readings. docs/metrics.md has the names. */

/** Of one site of one PoP, since its `pop health` started. */
export interface Counters {
  requests: number;
  /** Answered with 5xx. */
  errors: number;
  /** Rejected by a limit or a block. */
  rejected: number;
  /** Requests the cache answered, of those it could answer. */
  hits: number;
  cacheable: number;
  /** How many requests took at most so many seconds, by bound; the last bound is Infinity. */
  seconds: ReadonlyMap<number, number>;
}

/** By site; `other` is for names of nobody. */
export type CountersBySite = ReadonlyMap<string, Counters>;

/** Over the time between two readings. */
export interface Rates {
  requestsPerSecond: number;
  errorsPerSecond: number;
  /** Of limits and blocks. */
  rejectedPerSecond: number;
  /** 0 to 1; null when nothing was asked. */
  errorRate: number | null;
  /** 0 to 1; null when nothing was asked that the cache could answer. */
  hitRate: number | null;
  /** Seconds within which 95 of 100 requests were answered; the histogram's last bound for that and more; null when nothing was asked. */
  p95Seconds: number | null;
}

export interface Sample {
  name: string;
  labels: Readonly<Record<string, string>>;
  value: number;
}

const hits = ["HIT", "STALE", "UPDATING", "REVALIDATED"];
const cacheable = [...hits, "MISS", "EXPIRED"];

export const samplesOf = (text: string): Sample[] => text.split("\n").flatMap((line) => sampleOf(line) ?? []);

/** Undefined for a text that is no scrape of a PoP. */
export function parseMetrics(text: string): CountersBySite | undefined {
  const samples = samplesOf(text);
  if (!samples.some(({ name }) => name === "pop_info")) return undefined;
  const sites = new Set(
    samples.flatMap(({ name, labels }) => (name === "pop_requests_total" ? (labels.site ?? []) : [])),
  );
  return new Map([...sites].map((site) => [site, countersOf(samples.filter(({ labels }) => labels.site === site))]));
}

/** Of visitors, open now; undefined when nginx did not tell. */
export const openConnectionsIn = (text: string): number | undefined =>
  text
    .split("\n")
    .flatMap((it) => sampleOf(it) ?? [])
    .find(({ name, labels }) => name === "pop_nginx_connections" && labels.state === "active")?.value;

function countersOf(samples: readonly Sample[]): Counters {
  const sum = (metric: string, label: string, words?: readonly string[]) =>
    samples
      .filter(({ name, labels }) => name === metric && (words?.includes(labels[label] ?? "") ?? true))
      .reduce((total, { value }) => total + value, 0);
  return {
    requests: sum("pop_requests_total", "status"),
    errors: sum("pop_requests_total", "status", ["5xx"]),
    rejected: sum("pop_rejected_requests_total", "reason"),
    hits: sum("pop_cache_requests_total", "cache", hits),
    cacheable: sum("pop_cache_requests_total", "cache", cacheable),
    seconds: new Map(
      samples
        .filter(({ name }) => name === "pop_request_seconds_bucket")
        .map(({ labels: { le }, value }) => [le === "+Inf" ? Number.POSITIVE_INFINITY : Number(le), value]),
    ),
  };
}

const line = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/;
const label = /([a-z_]+)="((?:[^"\\]|\\.)*)"/g;

/** A line of Prometheus's text format; undefined for comments and for what is none. */
function sampleOf(text: string): Sample | undefined {
  const [, name, labels = "", value] = line.exec(text) ?? [];
  if (name === undefined) return undefined;
  const plain = (escaped: string) => escaped.replaceAll(/\\(.)/g, (_, it) => (it === "n" ? "\n" : it));
  const pairs = [...labels.matchAll(label)].map(([, key = "", text = ""]) => [key, plain(text)]);
  return { name, labels: Object.fromEntries(pairs), value: Number(value) };
}

const nothing: Counters = { requests: 0, errors: 0, rejected: 0, hits: 0, cacheable: 0, seconds: new Map() };

/** What was counted between two readings of one PoP. Counters start at 0 with their process: where they fell, all of the later ones is new. */
export function counterIncrease(before: CountersBySite, after: CountersBySite): CountersBySite {
  const restarted = [...after].some(([site, { requests }]) => requests < (before.get(site)?.requests ?? 0));
  return new Map(
    [...after].map(([site, now]) => [site, combined(now, (restarted ? undefined : before.get(site)) ?? nothing, -1)]),
  );
}

/** All sites of a reading, or one site of several, as one. */
export const sumCounters = (all: Iterable<Counters>): Counters =>
  [...all].reduce((sum, it) => combined(sum, it, 1), nothing);

function combined(a: Counters, b: Counters, sign: 1 | -1): Counters {
  const bounds = new Set([...a.seconds.keys(), ...b.seconds.keys()]);
  return {
    requests: a.requests + sign * b.requests,
    errors: a.errors + sign * b.errors,
    rejected: a.rejected + sign * b.rejected,
    hits: a.hits + sign * b.hits,
    cacheable: a.cacheable + sign * b.cacheable,
    seconds: new Map(
      [...bounds].map((bound) => [bound, (a.seconds.get(bound) ?? 0) + sign * (b.seconds.get(bound) ?? 0)]),
    ),
  };
}

/** `counted` within so many seconds. */
export function ratesOf(counted: Counters, seconds: number): Rates {
  const perSecond = (count: number) => (seconds > 0 ? count / seconds : 0);
  const share = (part: number, of: number) => (of > 0 ? part / of : null);
  return {
    requestsPerSecond: perSecond(counted.requests),
    errorsPerSecond: perSecond(counted.errors),
    rejectedPerSecond: perSecond(counted.rejected),
    errorRate: share(counted.errors, counted.requests),
    hitRate: share(counted.hits, counted.cacheable),
    p95Seconds: quantile(counted.seconds, 0.95),
  };
}

/** As Prometheus's histogram_quantile: evenly spread within a bucket. */
export function quantile(buckets: ReadonlyMap<number, number>, share: number): number | null {
  const sorted = [...buckets].toSorted(([a], [b]) => a - b);
  const all = sorted.at(-1)?.[1] ?? 0;
  if (all <= 0) return null;
  const rank = share * all;
  const at = sorted.findIndex(([, count]) => count >= rank);
  const [bound, count] = sorted[at] ?? [0, 0];
  const [lower, below] = sorted[at - 1] ?? [0, 0];
  if (!Number.isFinite(bound)) return lower;
  return lower + ((bound - lower) * (rank - below)) / (count - below);
}
