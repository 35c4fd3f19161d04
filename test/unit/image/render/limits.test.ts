import { expect, test } from "vitest";
import { nginxConf } from "../../../../image/render/nginx.ts";
import { limitLines, limitZones } from "../../../../image/render/nginx-limits.ts";
import type { Limit, Site } from "../../../../image/spec.ts";
import { attempt, spec } from "./spec.ts";

const ten: Limit = { requests: { count: 10, per: "s", burst: 20 } };
const site = (host: string, limit?: Limit): Site => ({ kind: "files", host, dir: "./site", ...(limit && { limit }) });
const conf = (...sites: Site[]) => nginxConf({ ...spec, sites });
const lines = (text: string, start: string): string[] =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.startsWith(start));

test("a site without a limit has no limit directives", () => {
  expect(conf(site("a.example.org"))).not.toMatch(/limit_req|pop_retry_after|limit_conn_status/);
});

test("requests above the rate and its burst are rejected at once with 429, never delayed", () => {
  const text = conf(site("a.example.org", ten));
  expect(lines(text, "limit_req")).toEqual([
    "limit_req_zone $pop_visitor$server_name zone=requests_10_s:2m rate=10r/s;",
    "limit_req_status 429;",
    "limit_req_log_level info;",
    "limit_req zone=requests_10_s burst=20 nodelay;",
  ]);
});

test("sites with the same rate share a zone, whatever their burst; other rates have their own", () => {
  const text = conf(
    site("a.example.org", ten),
    site("b.example.org", { requests: { ...ten.requests, burst: 5 } }),
    site("c.example.org", { requests: { count: 10, per: "m", burst: 5 } }),
  );
  expect(lines(text, "limit_req_zone").map((line) => line.split(" ").at(-2))).toEqual([
    "zone=requests_10_m:2m",
    "zone=requests_10_s:2m",
  ]);
});

test.each([
  [{ count: 10, per: "s", burst: 0 }, "1s"],
  [{ count: 100, per: "m", burst: 0 }, "1s"],
  [{ count: 5, per: "m", burst: 0 }, "12s"],
  [{ count: 1, per: "m", burst: 0 }, "60s"],
] as const)("%j: Retry-After is the time until one more request is allowed, %s", (requests, wait) => {
  expect(limitLines({ host: "a.example.org" }, { requests })).toContain(`pop_retry_after ${wait};`);
});

test("a site's own limit of requests in progress is added to those of all sites", () => {
  const text = conf(site("a.example.org", { ...ten, connections: 50 }), site("b.example.org", ten));
  expect(lines(text, "limit_conn_zone")).toContain("limit_conn_zone $pop_visitor$server_name zone=connections:2m;");
  const server = text.slice(
    text.indexOf("server_name a.example.org;\n    ssl"),
    text.indexOf("server_name b.example.org;\n    ssl"),
  );
  expect(lines(server, "limit_conn")).toEqual([
    "limit_conn connections 50;",
    "limit_conn visitors 256;",
    "limit_conn sites 2048;",
    "limit_conn_status 429;",
  ]);
  expect(lines(text, "limit_conn_status")).toHaveLength(1);
});

test("a part of a site is counted separately", () => {
  const login = { host: "a.example.org", part: "/login" };
  const other = { host: "a.example.org", part: "/search" };
  const all = [login, other].map((scope) => ({ scope, limit: { ...ten, connections: 2 } }));
  const zones = limitZones(all);
  const names = zones.flatMap((line) => /zone=(\w+):/.exec(line)?.[1] ?? []);
  expect(new Set(names).size).toBe(4);
  for (const { scope, limit } of all)
    for (const line of limitLines(scope, limit).filter((it) =>
      /^limit_(req|conn) (zone=)?(requests|connections)_/.test(it),
    ))
      expect(names).toContain(/(?:requests|connections)_\w+/.exec(line)?.[0]);
});

test.each([
  { requests: { count: 0, per: "s", burst: 1 } },
  { requests: { count: 1.5, per: "s", burst: 1 } },
  { requests: { count: 100_001, per: "s", burst: 1 } },
  { requests: { count: 1, per: "s", burst: -1 } },
  { requests: { count: 1, per: "s", burst: 1 }, connections: 257 },
] as Limit[])("%j is rejected", (limit) => {
  expect(attempt(() => conf(site("a.example.org", limit)))).toBe("refused");
});
