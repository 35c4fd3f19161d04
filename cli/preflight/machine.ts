/**
 * The probe machines: shaped like a PoP's, so that Fly treats them like one, but with a stock nginx that tells a visitor what it saw of the
 * connection, and that can be made to fail either of its health checks. Pure.
 */
import { healthCheck, machineConfig } from "../../components/machine-config.ts";
import { metadataKeys } from "../../fly/metadata.ts";
import type { Check, Guest, MachineConfig } from "../../fly/wire.ts";
import { ports } from "../../image/ports.ts";

/** Public, current, and the server that PoPs run, so that no program of our own is needed. Fly pulls it itself. */
export const defaultImage = "registry-1.docker.io/library/nginx:1.28-alpine";

/** An image that does not exist. */
export const missingImage = "registry-1.docker.io/library/fly-pops-preflight-no-such-image:1";

export const size = { cpuKind: "shared", cpus: 1, memoryMb: 256, volumeGb: 1 } as const;
export const guest: Guest = { cpu_kind: size.cpuKind, cpus: size.cpus, memory_mb: size.memoryMb };

/** The public port that is probed: plain TCP with a PROXY header. */
export const publicPort = 80;
export const mountPath = "/data";

/** Each of the two checks has its own path, and a file whose presence makes it fail. */
export const checks = {
  top: { path: "/top", failFile: "/tmp/top-sick" },
  service: { path: "/service", failFile: "/tmp/service-sick" },
} as const;
export type CheckPlace = keyof typeof checks;

const configPath = "/preflight-nginx.conf";

/** The response to a visitor, a JSON object of strings. */
export interface NginxReply {
  /** Source address in the PROXY header. */
  client: string;
  /** Destination port in it. */
  port: string;
  /** Who opened the connection: Fly's proxy. */
  from: string;
}

const nginxConf = `user root;
worker_processes 1;
pid /tmp/preflight.pid;
error_log stderr;
events {}
http {
  access_log off;
  default_type application/json;
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  keepalive_timeout 1h;
  server {
    listen ${ports.http} proxy_protocol;
    location / { return 200 '{"client":"$proxy_protocol_addr","port":"$proxy_protocol_server_port","from":"$remote_addr"}'; }
  }
  server {
    listen [::]:${ports.health} ipv6only=off;
    location ${checks.top.path} { if (-f ${checks.top.failFile}) { return 503; } return 200 ok; }
    location ${checks.service.path} { if (-f ${checks.service.failFile}) { return 503; } return 200 ok; }
  }
}
`;

interface MachineOptions {
  app: string;
  image: string;
  volume: string;
}

const common = ({ app, image, volume }: MachineOptions) => {
  const { services: _, checks: __, metrics: ___, ...shape } = machineConfig({ name: "preflight", ...size }, image);
  return {
    ...shape,
    mounts: [{ volume, path: mountPath }],
    metadata: { [metadataKeys.preflight]: app },
    init: { exec: ["/usr/sbin/nginx", "-c", configPath, "-g", "daemon off;"] },
    files: [{ guest_path: configPath, raw_value: Buffer.from(nginxConf).toString("base64") }],
  };
};

const healthOf = ({ image }: MachineOptions): Check =>
  machineConfig({ name: "preflight", ...size }, image).checks[healthCheck];

/** Serves visitors, with a PoP's services and check, and the check in the service as well. */
export function trafficConfig(of: MachineOptions): MachineConfig {
  const shape = machineConfig({ name: "preflight", ...size }, of.image);
  const health = healthOf(of);
  const { kind: _, ...inService } = health;
  return {
    ...common(of),
    checks: { [healthCheck]: { ...health, path: checks.top.path } },
    services: shape.services
      .filter(({ internal_port }) => internal_port === ports.http)
      .map((service) => ({ ...service, checks: [{ ...inService, path: checks.service.path }] })),
  };
}

/** Is updated, stopped and destroyed, and serves no visitors. `version`: any text; another one gives another config. */
export const controlConfig = (of: MachineOptions, version: string): MachineConfig => ({
  ...common(of),
  env: { PREFLIGHT_VERSION: version },
  checks: { [healthCheck]: { ...healthOf(of), path: checks.top.path } },
});
