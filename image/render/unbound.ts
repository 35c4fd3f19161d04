import { ports } from "../ports.ts";
import type { Dns, Tailnet } from "../spec.ts";
import { serverAddress, zoneName } from "./validators.ts";

/** Where tailscaled answers queries for names of its tailnet. https://tailscale.com/kb/1081/magicdns */
const magicDns = "100.100.100.100";

/** A forwarded zone. `isCached`: whether its names are cached. Default true. */
type Zone = Dns["forward"][number] & { isCached?: boolean };

/**
 * Not cached: tailscaled denies every name before it has joined, without saying for how long, and unbound would believe that for five seconds more. It is in
 * the same machine, and the machine has no other way to the addresses it knows.
 */
const tailnetZone = ({ domain }: Tailnet): Zone => ({ zone: domain, servers: [magicDns], isCached: false });

/**
 * unbound.conf: the PoP's own resolver, on 127.0.0.1 only. Validates DNSSEC from the root, and forwards the tailnet's names and the zones of the stack file.
 */
export function unboundConf(dns: Dns, tailnet?: Tailnet): string {
  const zones: Zone[] = [...dns.forward, ...(tailnet ? [tailnetZone(tailnet)] : [])];
  const forward = zones
    .map(({ zone, servers, isCached = true }) => ({
      zone: zoneName(zone),
      servers: servers.map(serverAddress),
      isCached,
    }))
    .toSorted((a, b) => (a.zone < b.zone ? -1 : 1));
  const duplicate = forward.find(({ zone }, at) => zone === forward[at + 1]?.zone);
  if (duplicate) throw new Error(`dns zone ${duplicate.zone}: it is forwarded twice.`);
  const asksLoopback = forward.some(({ servers }) =>
    servers.some((server) => server.startsWith("127.") || server.startsWith("::1")),
  );
  return [
    block("server", [
      `interface: 127.0.0.1@${ports.dns}`,
      "do-daemonize: no",
      // runas has already changed the user, and the root filesystem holds nothing but this image.
      'username: ""',
      'chroot: ""',
      'directory: "/var/lib/unbound"',
      'pidfile: ""',
      "use-syslog: no",
      'logfile: ""',
      "verbosity: 1",
      // Failed responses say why (RFC 8914), for `pop health`.
      "ede: yes",
      // A machine may have only 256 MB.
      "num-threads: 1",
      "msg-cache-size: 2m",
      "rrset-cache-size: 4m",
      "key-cache-size: 1m",
      "neg-cache-size: 256k",
      "infra-cache-numhosts: 1000",
      "outgoing-range: 256",
      "num-queries-per-thread: 128",
      'root-hints: "/usr/share/dns/root.hints"',
      // If the root zone itself is forwarded, there is nothing left to validate: unbound rejects a root that is both insecure and anchored.
      ...(forward.some(({ zone }) => zone === ".")
        ? ['module-config: "iterator"']
        : [
            'module-config: "validator iterator"',
            // postInit writes it first. unbound updates it when the root's keys change, so it is on the volume.
            'auto-trust-anchor-file: "/var/lib/unbound/root.key"',
          ]),
      "hide-identity: yes",
      "hide-version: yes",
      "qname-minimisation: yes",
      "prefetch: yes",
      // A new address of an origin is used within half a minute, whatever the TTL of its name.
      "cache-max-ttl: 30",
      // A name that did not exist before is found soon after it appears.
      "cache-max-negative-ttl: 5",
      // An origin's address remains usable for an hour after its name servers fail.
      "serve-expired: yes",
      "serve-expired-ttl: 3600",
      "serve-expired-client-timeout: 1800",
      ...(asksLoopback ? ["do-not-query-localhost: no"] : []),
      // unbound answers this itself, so a query for it tests unbound alone.
      'local-zone: "pop.invalid." static',
      'local-data: "probe.pop.invalid. 60 IN A 127.0.0.1"',
      // Forwarded zones are the user's and unsigned. `transparent`, because unbound would deny some of them by default, such as test.
      ...forward.flatMap(({ zone }) => [
        ...(zone === "." ? [] : [`domain-insecure: "${zone}"`, `local-zone: "${zone}" transparent`]),
      ]),
    ]),
    block("remote-control", ["control-enable: no"]),
    ...forward.map(({ zone, servers, isCached }) =>
      block("forward-zone", [
        `name: "${zone}"`,
        ...servers.map((server) => `forward-addr: ${server}`),
        ...(isCached ? [] : ["forward-no-cache: yes"]),
      ]),
    ),
  ].join("\n");
}

const block = (name: string, lines: string[]): string => `${name}:\n${lines.map((line) => `  ${line}\n`).join("")}`;
