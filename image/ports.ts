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
  /** `pop syslog`, 127.0.0.1 only: log messages of nginx. */
  syslog: 1106,
} as const;
