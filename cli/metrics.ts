/** Parses a PoP's `/metrics`, and calculates rates between two readings. Pure. docs/metrics.md has the metrics' names. */

/** Counters of one site of one PoP, since its `pop health` started. */
export interface Counters {
  requests: number;
  /** Responses with 5xx. */
  errors: number;
  /** Rejected by a limit or a block. */
  rejected: number;
  /** Cacheable requests that were answered from the cache. */
  hits: number;
  cacheable: number;
  /** Cumulative number of requests by upper bound of their duration in seconds; the last bound is Infinity. */
  seconds: ReadonlyMap<number, number>;
}

/** By site; `other` is for unknown hosts. */
export type CountersBySite = ReadonlyMap<string, Counters>;

/** Rates between two readings. */
export interface Rates {
  requestsPerSecond: number;
  errorsPerSecond: number;
  /** Rejected by limits and blocks. */
  rejectedPerSecond: number;
  /** 0 to 1; null without requests. */
  errorRate: number | null;
  /** 0 to 1; null without cacheable requests. */
  hitRate: number | null;
  /** 95th percentile of durations in seconds, at most the histogram's last finite bound. null without requests. */
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

/** Undefined if the text is not from a PoP. */
export function parseMetrics(text: string): CountersBySite | undefined {
  const samples = samplesOf(text);
  if (!samples.some(({ name }) => name === "pop_info")) return undefined;
  const sites = new Set(
    samples.flatMap(({ name, labels }) => (name === "pop_requests_total" ? (labels.site ?? []) : [])),
  );
  return new Map([...sites].map((site) => [site, countersOf(samples.filter(({ labels }) => labels.site === site))]));
}

/** Open connections of visitors. Undefined: nginx's value is missing. */
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
    rejected: sum("pop_requests_rejected_total", "reason"),
    hits: sum("pop_cache_requests_total", "cache", hits),
    cacheable: sum("pop_cache_requests_total", "cache", cacheable),
    seconds: new Map(
      samples
        .filter(({ name }) => name === "pop_request_duration_seconds_bucket")
        .map(({ labels: { le }, value }) => [le === "+Inf" ? Number.POSITIVE_INFINITY : Number(le), value]),
    ),
  };
}

const line = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/;
const label = /([a-z_]+)="((?:[^"\\]|\\.)*)"/g;

/** Names of the previous version, which PoPs that are not updated yet have. Read for one more version. */
const formerNames: Readonly<Record<string, string>> = {
  pop_rejected_requests_total: "pop_requests_rejected_total",
  pop_request_seconds_bucket: "pop_request_duration_seconds_bucket",
};

/** A line of Prometheus' text format. Undefined: a comment or invalid. */
function sampleOf(text: string): Sample | undefined {
  const [, name, labels = "", value] = line.exec(text) ?? [];
  if (name === undefined) return undefined;
  const plain = (escaped: string) => escaped.replaceAll(/\\(.)/g, (_, it) => (it === "n" ? "\n" : it));
  const pairs = [...labels.matchAll(label)].map(([, key = "", text = ""]) => [key, plain(text)]);
  return { name: formerNames[name] ?? name, labels: Object.fromEntries(pairs), value: Number(value) };
}

const nothing: Counters = { requests: 0, errors: 0, rejected: 0, hits: 0, cacheable: 0, seconds: new Map() };

/** The increase between two readings of one PoP. Counters restart at 0 with their process: if they fell, the later value is the increase. */
export function counterIncrease(before: CountersBySite, after: CountersBySite): CountersBySite {
  const restarted = [...after].some(([site, { requests }]) => requests < (before.get(site)?.requests ?? 0));
  return new Map(
    [...after].map(([site, now]) => [site, combined(now, (restarted ? undefined : before.get(site)) ?? nothing, -1)]),
  );
}

/** The sum of counters, of all sites of a reading or of one site of several PoPs. */
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

/** Rates of `counted` over a number of seconds. */
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

/** Like Prometheus' histogram_quantile: interpolates linearly within a bucket. */
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
