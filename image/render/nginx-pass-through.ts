import { limits } from "../limits.ts";
import { ports } from "../ports.ts";
import type { ImageSpec, PassThroughSite } from "../spec.ts";
import { namesOf, siteDigest, siteKey } from "./hosts.ts";
import { streamAccess } from "./nginx-access.ts";
import { block } from "./nginx-block.ts";
import { originServers, upstream } from "./nginx-upstream.ts";
import { boundedInt, type Origin, parseOrigin } from "./validators.ts";

/**
 * Sites whose TLS ends at the origin. In stacks with such sites, nginx peeks at the ClientHello of each connection to the TLS port without consuming it
 * (https://nginx.org/en/docs/stream/ngx_stream_ssl_preread_module.html). Then it hands the connection itself to another of its servers
 * (https://nginx.org/en/docs/stream/ngx_stream_pass_module.html): the pass-through server of that name, or the servers that terminate TLS here. Those get the
 * connection as if they had accepted it: no further hop, nothing copied, and with the visitor's address from Fly's PROXY header.
 */

type PassThroughSpec = Pick<ImageSpec, "sites" | "passThrough">;

/** Where the servers that terminate TLS get connections. They listen on sockets that nothing connects to. */
const tlsSocket = "unix:/run/nginx/tls.sock";

/** What the servers that terminate TLS listen on. */
export const tlsListen = ({ passThrough = [] }: Pick<PassThroughSpec, "passThrough">): string =>
  passThrough.length === 0 ? `${ports.https} ssl proxy_protocol` : `${tlsSocket} ssl`;

const socketOf = ({ host }: PassThroughSite): string => `unix:/run/nginx/through-${siteDigest(host)}.sock`;

const byHost = (a: PassThroughSite, b: PassThroughSite): number => (a.host < b.host ? -1 : a.host > b.host ? 1 : 0);

/** Seconds to wait for a ClientHello, as for sites that terminate TLS here. */
const helloSeconds = 15;

/** Lines of the `stream` block. */
export function passThroughServers({ sites, passThrough = [] }: PassThroughSpec): string[] {
  if (passThrough.length === 0) return [];
  const all = passThrough.toSorted(byHost);
  return [
    "",
    block("map $ssl_preread_server_name $server_of_name", [
      "hostnames;",
      `default ${tlsSocket};`,
      // Names that terminate TLS here, because they may match a wildcard of names that do not.
      ...sites
        .flatMap(namesOf)
        .toSorted()
        .map((name) => `${name} ${tlsSocket};`),
      ...all.flatMap((site) => namesOf(site).map((name) => `${name} ${socketOf(site)};`)),
    ]),
    block("server", [
      `listen ${ports.https} proxy_protocol backlog=4096;`,
      "access_log off;",
      "ssl_preread on;",
      `preread_timeout ${helloSeconds}s;`,
      "pop_sorts on;",
      "pass $server_of_name;",
    ]),
    ...all.flatMap((site) => ["", ...server(site)]),
  ];
}

const originsOf = ({ host, origins }: PassThroughSite): Origin[] => {
  const all = origins.map(parseOrigin);
  if (all.length === 0 || all.some(({ scheme }) => scheme !== "https"))
    throw new Error(`site ${host}: TLS can only be passed on to https origins.`);
  return all;
};

function server(site: PassThroughSite): string[] {
  const name = `through_${siteKey(site.host)}`;
  const range = { min: 1, max: limits.visitorRequests };
  const { connections } = site;
  return [
    block(`upstream ${name}`, [`zone ${name} 64k;`, ...originServers(originsOf(site))]),
    block("server", [
      `listen ${socketOf(site)};`,
      `set $site ${namesOf(site)[0]};`,
      ...(connections === undefined
        ? []
        : [`limit_conn site_visitors ${boundedInt(connections, `${site.host}: limit.connections`, range)};`]),
      `proxy_timeout ${boundedInt(site.idleSeconds, `${site.host}: idle`, { min: 1, max: 86_400 })}s;`,
      ...(site.access ? [streamAccess(site.access)] : []),
      ...(site.proxyProtocol === "v2" ? ["pop_proxy_protocol on;"] : []),
      // Time for each to fail to connect.
      ...(site.origins.length > 1
        ? [`proxy_next_upstream_timeout ${(limits.connectSeconds + 1) * site.origins.length}s;`]
        : []),
      `proxy_pass ${name};`,
    ]),
  ];
}

/** Port 80 of these sites: redirects to https, except for challenges, which go to the origin's own ACME client. */
export function passThroughHttpServers({ passThrough = [] }: Pick<PassThroughSpec, "passThrough">): string[] {
  return passThrough.toSorted(byHost).flatMap((site) => {
    const name = `challenges_${siteKey(site.host)}`;
    return [
      upstream(name, originServers(originsOf(site).map((it) => ({ ...it, port: 80 })))),
      block("server", [
        `listen ${ports.http} proxy_protocol;`,
        ...namesOf(site).map((it) => `server_name ${it};`),
        block("location /", ["return 301 https://$host$request_uri;"]),
        block('location ~ "^/\\.well-known/acme-challenge/[A-Za-z0-9_-]+$"', [`proxy_pass http://${name};`]),
      ]),
      "",
    ];
  });
}
