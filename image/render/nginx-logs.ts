/** What nginx logs, and where. */
import { ports } from "../ports.ts";
import type { Logs } from "../spec.ts";

/**
 * Regular expressions, for PCRE and awk, that match three bytes of an IPv4 address, and the first three groups of an IPv6 address as nginx writes it: `::`
 * stands for groups of zeros, which may be part of the /48.
 */
const networkPatterns = { ipv4: "[0-9]+\\.[0-9]+\\.[0-9]+", ipv6: "[0-9a-f]+(:[0-9a-f]+)?(:[0-9a-f]+)?" };

/** The variable of the access log that holds the visitor's address. */
export const client = ({ anonymize }: Logs): string => (anonymize ? "$logged_client" : "$remote_addr");

/** Definition of that variable, for the logs of sites and of ports. */
export const clientMap = ({ anonymize }: Logs): string[] =>
  anonymize
    ? [
        `map $remote_addr $logged_client { "~^(?<ipv4_network>${networkPatterns.ipv4})\\." $ipv4_network.0; "~^(?<ipv6_network>${networkPatterns.ipv6}):" "\${ipv6_network}::"; default "::"; }`,
      ]
    : [];

/** Variables for the access logs of sites. */
export const logMaps = (logs: Logs): string[] => [...clientMap(logs), ...sampleMaps(logs)];

const sampleMaps = ({ sampleCached }: Logs): string[] =>
  sampleCached === undefined
    ? []
    : [
        // $request_id is random.
        ...(sampleCached === 0 ? [] : [`split_clients $request_id $is_sampled { ${sampleCached}% 1; * ""; }`]),
        // Responses served without the origin. STALE is not one of them: every line about a failing origin matters.
        `map $pop_cache_status $is_logged { HIT ${sampled(sampleCached)}; UPDATING ${sampled(sampleCached)}; default 1; }`,
      ];

const sampled = (percent: number): string => (percent === 0 ? '""' : "$is_sampled");

/** The access log: the PoP's own, and the syslog collector's. */
export function accessLogs({ syslog, sampleCached }: Logs): string[] {
  const condition = sampleCached === undefined ? "" : " if=$is_logged";
  return [
    // Buffered: one write per request would cost more than one for many, and every line passes through process-compose.
    `access_log /dev/stdout json buffer=32k flush=1s${condition};`,
    // To `pop syslog` (image/pop/syslog/syslog.go), which resolves the collector's name: nginx would not start while a name has no address.
    ...(syslog ? [`access_log syslog:server=127.0.0.1:${ports.syslog},nohostname,tag=nginx json${condition};`] : []),
  ];
}

/** Path in the image of the filter for nginx's error log. run-nginx checks whether it exists. */
export const errorFilterFile = "etc/pop/error-log.awk";

/** nginx has no format for its error log, so a filter changes `client: 203.0.113.7` to `client: 203.0.113.0`. */
export const errorFilter = `# Of visitors' addresses in nginx's error log only the network is kept.
{
  line = gensub(/(client: ${networkPatterns.ipv4})\\.[0-9]+/, "\\\\1.0", "g", $0)
  print gensub(/(client: ${networkPatterns.ipv6}):[0-9a-f:.]*/, "\\\\1::", "g", line)
  fflush()
}
`;
