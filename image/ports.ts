/** Ports inside a PoP, one place: nginx, unbound and the helper listen on them, the machine's services and checks name them. */
export const ports = {
  /** nginx, plain HTTP behind a PROXY header: redirects to https. */
  http: 1101,
  /** nginx, TLS behind a PROXY header: the sites. */
  https: 1102,
  /** nginx, private, without PROXY header, 127.0.0.1 only: /healthz and stub_status. */
  nginxStatus: 1103,
  /** unbound, 127.0.0.1 only. */
  dns: 1104,
  /** `pop health`: GET /healthz, what Fly's checks ask, and GET /metrics, what its Prometheus does. */
  health: 1105,
  /** `pop certs`, on the machine's private address only: challenges that other PoPs were asked for. */
  challenges: 1107,
  /** `pop syslog`, 127.0.0.1 only: log messages of nginx. */
  syslog: 1106,
} as const;

/** How many ports of raw TCP a stack may have. */
export const maxTcpPorts = 32;

/** nginx, raw TCP behind a PROXY header: where the first of the stack's `ports` leads to. The others follow in order. */
const firstTcpPort = 1200;

/** Where public ports lead to inside a PoP. */
export const tcpPorts = (all: readonly { port: number }[] = []): Map<number, number> =>
  new Map(
    all
      .map(({ port }) => port)
      .toSorted((a, b) => a - b)
      .map((port, at) => [port, firstTcpPort + at]),
  );

export const isTcpPort = (internal: number | undefined): boolean =>
  internal !== undefined && internal >= firstTcpPort && internal < firstTcpPort + maxTcpPorts;
