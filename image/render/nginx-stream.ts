import { limits, tcpBufferKb } from "../limits.ts";
import { tcpPorts } from "../ports.ts";
import type { ImageSpec, TcpPort } from "../spec.ts";
import { streamAccess, streamAccessMaps } from "./nginx-access.ts";
import { block } from "./nginx-block.ts";
import { resolving } from "./nginx-common.ts";
import { client, clientMap } from "./nginx-logs.ts";
import { luggagePort } from "./nginx-luggage.ts";
import { passThroughServers } from "./nginx-pass-through.ts";
import { boundedInt, parseEndpoint } from "./validators.ts";

/**
 * Raw TCP ports: https://nginx.org/en/docs/stream/ngx_stream_core_module.html. Each has a server behind Fly's proxy, whose PROXY header has the visitor's
 * address. Only in images of stacks with `ports` or with sites whose TLS ends at the origin (nginx-pass-through.ts).
 */

/** Log for `pop health` with one line per connection (image/pop/counts/connections.go). nginx-common.ts has the one for requests. */
const countsFile = "/run/pop/counts/ports";

type StreamSpec = Pick<ImageSpec, "ports" | "passThrough" | "sites" | "luggage" | "logs">;

/** Whether the spec needs nginx's `stream` block. */
export const isStreaming = ({ ports = [], passThrough = [] }: Pick<ImageSpec, "ports" | "passThrough">): boolean =>
  ports.length + passThrough.length > 0;

/** Loaded after the module for sites, which knows the addresses that an operator blocked. */
export const streamModules = (spec: Pick<ImageSpec, "ports" | "passThrough">): string[] =>
  isStreaming(spec)
    ? ["ngx_stream_module", "ngx_stream_pop_module"].map((name) => `load_module /usr/lib/nginx/modules/${name}.so;`)
    : [];

/** The `stream` block, if there is anything in it. */
export function streamBlock(spec: StreamSpec): string[] {
  const { ports: all = [], passThrough = [], luggage, logs = {} } = spec;
  if (!isStreaming(spec)) return [];
  const internalPorts = tcpPorts(all);
  const hasSites = passThrough.length > 0;
  return [
    "",
    block("stream", [
      // Trusts Fly's proxy, as the `http` block does.
      "set_real_ip_from 172.16.0.0/12;",
      "proxy_protocol_timeout 5s;",
      "tcp_nodelay on;",
      ...resolving,
      "",
      // For names, which may be long. Must come before the first map.
      ...(hasSites ? ["map_hash_bucket_size 512;"] : []),
      block("map $server_port $public_port", [
        ...(hasSites ? ["default 443;"] : []),
        ...[...internalPorts].map(([port, internal]) => `${internal} ${port};`),
      ]),
      // An IPv4 address, or the /64 of an IPv6 address.
      `map $binary_remote_addr $visitor { "~(?s)^(?<network>.{8}).{8}$" $network; default $binary_remote_addr; }`,
      "limit_conn_zone $public_port$visitor zone=port_visitors:1m;",
      "limit_conn_zone $public_port zone=ports:64k;",
      ...(hasSites ? ["limit_conn_zone $site$visitor zone=site_visitors:1m;"] : []),
      "limit_conn_log_level info;",
      ...streamAccessMaps([...all, ...passThrough].flatMap(({ access }) => access ?? [])),
      "",
      ...clientMap(logs),
      `log_format json escape=json '{"time":"$time_iso8601","client":"${client(logs)}","port":$public_port,${hasSites ? '"site":"$site",' : ""}"status":$status,'`,
      `  '"sent":$bytes_sent,"received":$bytes_received,"seconds":$session_time,"target":"$upstream_addr"}';`,
      // By another path than in the `http` block: with the same path, nginx would let both share a buffer.
      "access_log /proc/self/fd/1 json buffer=4k flush=1s;",
      ...(hasSites ? ['map $site $counted { "" $public_port; default $site; }'] : []),
      `log_format counts "${hasSites ? "$counted" : "$public_port"} $status $bytes_sent $bytes_received $session_time";`,
      `access_log ${countsFile} counts buffer=4k flush=1s;`,
      "",
      `proxy_connect_timeout ${limits.connectSeconds}s;`,
      `proxy_next_upstream_timeout ${2 * limits.connectSeconds + 1}s;`,
      `proxy_buffer_size ${tcpBufferKb}k;`,
      "proxy_socket_keepalive on;",
      // A client that has closed its sending side may still wait for the response.
      "proxy_half_close on;",
      ...all
        .toSorted((a, b) => a.port - b.port)
        .flatMap((it) => ["", ...server(it, internalPorts.get(it.port) ?? 0, luggage)]),
      ...passThroughServers(spec),
    ]),
  ];
}

function server(port: TcpPort, internal: number, luggage: ImageSpec["luggage"]): string[] {
  const at = `ports.${boundedInt(port.port, "port", { min: 1, max: 65_535 })}`;
  const { connections, total } = port.limit;
  const range = { min: 1, max: 100_000 };
  return [
    block(`upstream port_${port.port}`, [`zone port_${port.port} 64k;`, ...targets(port, luggage)]),
    block("server", [
      `listen ${internal} proxy_protocol backlog=1024;`,
      `limit_conn port_visitors ${boundedInt(connections, `${at}.limit.connections`, range)};`,
      `limit_conn ports ${boundedInt(total, `${at}.limit.total`, range)};`,
      `proxy_timeout ${boundedInt(port.idleSeconds, `${at}.idle`, { min: 1, max: 86_400 })}s;`,
      ...(port.access ? [streamAccess(port.access)] : []),
      ...(port.proxyProtocol === "v2" ? ["pop_proxy_protocol on;"] : []),
      `proxy_pass port_${port.port};`,
    ]),
  ];
}

/** As for origins (nginx-origins.ts): an address that does not answer is skipped for a minute, but tried if no other answers. */
function targets({ to }: TcpPort, luggage: ImageSpec["luggage"]): string[] {
  if (to.kind === "luggage") return [`server 127.0.0.1:${luggagePort(luggage, to.luggage)} max_fails=0;`];
  const { host, port, isAddress } = parseEndpoint(to.address);
  const address = `${host}:${port}`;
  return isAddress
    ? [`server ${address} max_fails=0;`]
    : [`server ${address} resolve max_fails=3 fail_timeout=60s;`, `server ${address} resolve max_fails=0 backup;`];
}
