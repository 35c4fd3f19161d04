/** Ports inside a PoP, defined once: nginx, unbound and `pop` listen on them, the machine's services and checks refer to them. */
export const ports = {
  /** nginx, plain HTTP after a PROXY header: redirects to https. */
  http: 1101,
  /** nginx, TLS after a PROXY header: the sites. */
  https: 1102,
  /** nginx, private, without a PROXY header, on 127.0.0.1 only: /healthz and stub_status. */
  nginxStatus: 1103,
  /** unbound, on 127.0.0.1 only. */
  dns: 1104,
  /** `pop health`: GET /healthz for Fly's checks, and GET /metrics for its Prometheus. */
  health: 1105,
  /** `pop certs`, on the machine's private address only: answers challenges for orders of other PoPs. */
  challenges: 1107,
  /** `pop syslog`, on 127.0.0.1 only: log messages of nginx. */
  syslog: 1106,
} as const;

/** How many raw TCP ports a stack may have. */
export const maxTcpPorts = 32;

/** nginx, raw TCP after a PROXY header: internal port of the first of the stack's `ports`. The others follow in ascending order. */
const firstTcpPort = 1200;

/** The internal port of each public port. */
export const tcpPorts = (all: readonly { port: number }[] = []): Map<number, number> =>
  new Map(
    all
      .map(({ port }) => port)
      .toSorted((a, b) => a - b)
      .map((port, at) => [port, firstTcpPort + at]),
  );

export const isTcpPort = (internal: number | undefined): boolean =>
  internal !== undefined && internal >= firstTcpPort && internal < firstTcpPort + maxTcpPorts;

/** The owner of each port inside a PoP, apart from luggage. `tcp`: the stack's raw TCP ports. */
export const imagePortHolders = (tcp: readonly { port: number }[] = []): Map<number, string> =>
  new Map([
    ...Object.entries(ports).map(([name, port]): [number, string] => [port, `the image (${name})`]),
    ...[...tcpPorts(tcp)].map(([port, internal]): [number, string] => [internal, `the image (ports.${port})`]),
  ]);

/** The owner of the port that luggage asks for, by the name of the luggage. If two pieces ask for one port, the first in this order has it. */
export function portConflicts(
  luggage: Iterable<readonly [name: string, port: number | undefined]>,
  imageHolders: ReadonlyMap<number, string>,
): Map<string, string> {
  const holders = new Map(imageHolders);
  const conflicts = new Map<string, string>();
  for (const [name, port] of luggage) {
    if (port === undefined) continue;
    const holder = holders.get(port);
    if (holder === undefined) holders.set(port, `luggage.${name}`);
    else conflicts.set(name, holder);
  }
  return conflicts;
}
