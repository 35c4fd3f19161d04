/** Upstream blocks, and how nginx fails over between their servers. */
import { limits } from "../limits.ts";
import { block } from "./nginx-block.ts";
import type { Origin } from "./validators.ts";

/**
 * An upstream block. Its zone is required for `resolve`, and shares the state of servers among workers. Many origins close idle connections long before
 * our 50 seconds; image/nginx/keepalive.c keeps that from costing requests.
 */
export const upstream = (name: string, servers: string[]): string =>
  block(`upstream ${name}`, [`zone ${name} 128k;`, ...servers, "keepalive 16;", "keepalive_timeout 50s;"]);

/** Three failures, not one: a single slow page must not take the whole site away from its origin. */
export const primaryParameters = "max_fails=3 fail_timeout=10s";

/**
 * Several origins: the first is used as long as it responds, the others are backups. One origin: a dead address of its name (an AAAA record behind a
 * firewall, for instance) is skipped for a minute after three failures, so it costs a visitor the connect timeout at most once a minute. The same name is also
 * its own backup, without failure counting: if all addresses fail, each request still tries them.
 */
export function originServers(all: Origin[]): string[] {
  const server = ({ host, port, isAddress }: Origin, parameters: string) =>
    `server ${host}:${port} ${isAddress ? "" : "resolve "}max_conns=${limits.originRequests} ${parameters};`;
  const [first, ...others] = all;
  if (first === undefined) return [];
  if (others.length > 0)
    return [server(first, primaryParameters), ...others.map((to) => server(to, "max_fails=0 backup"))];
  if (first.isAddress) return [server(first, "max_fails=0")];
  return [server(first, "max_fails=3 fail_timeout=60s"), server(first, "max_fails=0 backup")];
}
