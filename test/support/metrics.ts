/** The metrics that docs/metrics.md has, and those that a PoP exports. */
import { readFileSync } from "node:fs";

const page = readFileSync(new URL("../../docs/metrics.md", import.meta.url), "utf8");
const [always = "", ports = "", passThrough = "", tailnet = "", vault = ""] = page.split(
  /^A stack with `ports` has these as well\. .*$|^A site with `passThrough` has .*$|^With a tailnet there are these as well:$|^With certificates from a vault .*$/m,
);
const names = (text: string): string[] => [...new Set(text.match(/(?<=`)pop_\w+(?=`)/g))];
const rows = (text: string): string[] => names((text.match(/^\| `pop_.*$/gm) ?? []).join("\n"));

/** Sorted names: of any PoP, of one with a tailnet, what ports add, what sites whose TLS ends at home do, and what a vault does. */
export const documentedMetrics = {
  always: rows(always).toSorted(),
  ports: rows(ports).toSorted(),
  passThrough: rows(passThrough).toSorted(),
  vault: rows(vault).toSorted(),
  withTailnet: [...new Set([...rows(always), ...rows(tailnet)])].toSorted(),
};

/** Names of a scrape's families, sorted. */
export const familiesOf = (scrape: string): string[] =>
  [...scrape.matchAll(/^# TYPE (\S+)/gm)].map(([, name = ""]) => name).toSorted();

interface SiteLoad {
  ok?: number;
  /** 5xx. */
  errors?: number;
  /** By a limit. */
  rejected?: number;
  hits?: number;
  misses?: number;
  /** Past the cache. */
  passed?: number;
  /** Answered within 0.1 s, and within 1 s. */
  fast?: number;
  slow?: number;
}

/** The part of a scrape that tells of requests, by site. */
export function scrape(sites: Record<string, SiteLoad>, pop = "cdg-1"): string {
  const of = Object.entries(sites).flatMap(
    ([site, { ok = 0, errors = 0, rejected = 0, hits = 0, misses = 0, passed = 0, fast = 0, slow = 0 }]) => [
      `pop_requests_total{site="${site}",status="2xx"} ${ok}`,
      `pop_requests_total{site="${site}",status="5xx"} ${errors}`,
      `pop_requests_rejected_total{site="${site}",reason="requests"} ${rejected}`,
      `pop_cache_requests_total{site="${site}",cache="HIT"} ${hits}`,
      `pop_cache_requests_total{site="${site}",cache="MISS"} ${misses}`,
      `pop_cache_requests_total{site="${site}",cache="BYPASS"} ${passed}`,
      `pop_request_duration_seconds_bucket{site="${site}",le="0.1"} ${fast}`,
      `pop_request_duration_seconds_bucket{site="${site}",le="1"} ${fast + slow}`,
      `pop_request_duration_seconds_bucket{site="${site}",le="+Inf"} ${fast + slow}`,
      `pop_request_duration_seconds_sum{site="${site}"} ${fast * 0.05 + slow * 0.5}`,
      `pop_request_duration_seconds_count{site="${site}"} ${fast + slow}`,
    ],
  );
  return ["# HELP pop_info 1", "# TYPE pop_info gauge", `pop_info{pop="${pop}"} 1`, ...of, ""].join("\n");
}
