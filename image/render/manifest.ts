import { posix } from "node:path";
import { byKey } from "../../lib/order.ts";
import { checkTimeoutSeconds } from "../limits.ts";
import { ports } from "../ports.ts";
import type { ImageSpec, Luggage, LuggageHealth, Tailnet } from "../spec.ts";
import { orderedNames } from "./acme.ts";
import { vaultSites } from "./certs.ts";
import { namesOf } from "./hosts.ts";
import { secrets } from "./secrets.ts";
import { partsOf } from "./site-parts.ts";
import {
  type Endpoint,
  healthPath,
  hostLabelPart,
  originUrl,
  parseEndpoint,
  parseOrigin,
  siteName,
  tailnetTag,
  zoneName,
} from "./validators.ts";

/** /etc/pop/pop.json: what `pop` needs to know about the image. Read by image/pop/manifest/manifest.go, which rejects unknown keys. */
export function manifest(
  spec: Pick<ImageSpec, "sites" | "luggage" | "tailnet" | "certificates" | "ports" | "passThrough" | "logs">,
): string {
  const hosts = spec.sites.map((site) => siteName(site.host)).toSorted();
  const aliases = spec.sites.flatMap((site) => namesOf(site).slice(1)).toSorted();
  const ordered = orderedNames(spec);
  const { nginxStatus, dns, health } = ports;
  // Health components that not every PoP has: while one of them reports no status, the PoP is degraded.
  const expects = [
    ...(spec.tailnet ? ["tailnet"] : []),
    ...(secrets(spec).length > 0 ? ["secrets"] : []),
    ...(vaultSites(spec).length > 0 ? ["certs"] : []),
    ...(ordered.length > 0 ? ["acme"] : []),
  ];
  const checks = Object.entries(spec.luggage)
    .toSorted(byKey)
    .flatMap(([name, it]) => (it.health ? [[name, healthCheck(name, it, it.health)]] : []));
  const { ports: tcp = [], passThrough = [] } = spec;
  const origins = [
    ...new Set([
      ...spec.sites
        .flatMap(partsOf)
        .flatMap((part) => (part.kind === "proxy" ? part.origins : []))
        .map((it) => originUrl(parseOrigin(it))),
      ...tcp.flatMap(({ to }) => (to.kind === "host" ? [endpointUrl(parseEndpoint(to.address))] : [])),
      ...passThrough.flatMap((site) => site.origins.map((it) => endpointUrl(parseOrigin(it)))),
    ]),
  ].toSorted();
  const content = {
    hosts,
    ...(aliases.length > 0 && { aliases }),
    ...(ordered.length > 0 && { acmeHosts: ordered }),
    expects,
    ports: { nginxStatus, dns, health },
    checkTimeoutSeconds,
    ...(origins.length > 0 && { origins }),
    ...(tcp.length > 0 && { tcpPorts: tcp.map(({ port }) => port).toSorted((a, b) => a - b) }),
    ...(passThrough.length > 0 && { passThrough: passThrough.map(({ host }) => siteName(host)).toSorted() }),
    ...(spec.tailnet && { tailnet: tailnet(spec.tailnet) }),
    ...(spec.logs?.syslog && { syslog: { listen: ports.syslog, ...spec.logs.syslog } }),
    ...(checks.length > 0 && { luggage: Object.fromEntries(checks) }),
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}

const endpointUrl = ({ host, port }: Endpoint): string => `tcp://${host}:${port}`;

/** The settings that `pop join` applies and `pop health` verifies. */
const tailnet = ({ domain, tags, loginServer, hostPrefix, acceptRoutes = false }: Tailnet) => ({
  domain: zoneName(domain).replace(/\.$/, ""),
  tags: tags.map((tag) => `tag:${tailnetTag(tag)}`),
  ...(loginServer !== undefined && { loginServer: originUrl(parseOrigin(loginServer)) }),
  hostPrefix: hostLabelPart(hostPrefix),
  acceptRoutes,
});

/** How `pop check` checks a piece of luggage. */
function healthCheck(name: string, { port }: Luggage, { probe, everySeconds, timeoutSeconds }: LuggageHealth) {
  const timing = { everySeconds, timeoutSeconds };
  if (probe.kind === "http") {
    if (port === undefined) throw new Error(`luggage.${name}.health: has a path, but luggage.${name}.port is not set.`);
    return { url: `http://127.0.0.1:${port}${healthPath(probe.path)}`, ...timing };
  }
  const [program, ...rest] = probe.command;
  if (!program) throw new Error(`luggage.${name}.health.command is empty: takes a program and its arguments.`);
  const dir = `/luggage/${name}`;
  return { command: [posix.resolve(dir, program), ...rest], folder: dir, ...timing };
}
