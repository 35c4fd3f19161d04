import { limits } from "../limits.ts";
import { ports } from "../ports.ts";
import type { ImageSpec, PassThroughSite } from "../spec.ts";
import { namesOf, siteDigest, siteKey } from "./hosts.ts";
import { streamAccess } from "./nginx-access.ts";
import { block } from "./nginx-block.ts";
import { originServers, upstream } from "./nginx-origins.ts";
import { boundedInt, type Origin, parseOrigin } from "./validators.ts";

/**
 * Sites whose TLS ends at home. In stacks that have any, nginx first looks at the ClientHello of each connection to the TLS port
 * (https://nginx.org/en/docs/stream/ngx_stream_ssl_preread_module.html) and takes nothing of it out of the socket. Then it hands the connection itself to another
 * of its own servers (https://nginx.org/en/docs/stream/ngx_stream_pass_module.html): to the one of the name, which passes bytes on, or to the ones that end TLS
 * here. These have it as if it had come to them: no further hop, nothing copied, and who the visitor is was read from Fly's PROXY header already.
 */

type PassThroughSpec = Pick<ImageSpec, "sites" | "passThrough">;

/** Where the servers that end TLS are handed connections. They listen on sockets that nobody connects to. */
const tlsSocket = "unix:/run/nginx/tls.sock";

/** What the servers that end TLS listen on. */
export const tlsListen = ({ passThrough = [] }: Pick<PassThroughSpec, "passThrough">): string =>
  passThrough.length === 0 ? `${ports.https} ssl proxy_protocol` : `${tlsSocket} ssl`;

const socketOf = ({ host }: PassThroughSite): string => `unix:/run/nginx/through-${siteDigest(host)}.sock`;

const byHost = (a: PassThroughSite, b: PassThroughSite): number => (a.host < b.host ? -1 : a.host > b.host ? 1 : 0);

/** Seconds a ClientHello may take to come, as where TLS ends here. */
const helloSeconds = 15;

/** Lines of the block of raw TCP. */
export function passThroughServers({ sites, passThrough = [] }: PassThroughSpec): string[] {
  if (passThrough.length === 0) return [];
  const all = passThrough.toSorted(byHost);
  return [
    "",
    block("map $ssl_preread_server_name $server_of_name", [
      "hostnames;",
      `default ${tlsSocket};`,
      // Names that end TLS here, for they may be below a wildcard of those that do not.
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
    throw new Error(`site ${host}: TLS is passed on to https origins alone.`);
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
      // Enough for each to fail to connect.
      ...(site.origins.length > 1
        ? [`proxy_next_upstream_timeout ${(limits.connectSeconds + 1) * site.origins.length}s;`]
        : []),
      `proxy_pass ${name};`,
    ]),
  ];
}

/** Port 80 of these sites: a redirect to https, but for the challenges of their own ACME clients. */
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
