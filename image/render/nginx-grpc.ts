/**
 * Origins that are asked by gRPC: https://nginx.org/en/docs/http/ngx_http_grpc_module.html. It is HTTP/2 both ways, with trailers, and no piece waits for
 * another. Nothing is stored, buffered or rewritten.
 */
import { limits } from "../limits.ts";
import type { ProxyOptions, ProxySite } from "../spec.ts";
import { hidden, requestHeaders } from "./nginx-common.ts";
import type { SitePart } from "./site-parts.ts";
import { boundedInt } from "./validators.ts";

/** What tells how a location asks. */
export type UpstreamProtocol = Pick<ProxySite, "protocol">;

export const isGrpc = ({ protocol }: UpstreamProtocol): boolean => protocol === "grpc";

/** The module of nginx that asks: its directives begin with this. */
export const upstreamModule = (site: UpstreamProtocol): "proxy" | "grpc" => (isGrpc(site) ? "grpc" : "proxy");

/** By the scheme of an origin. */
export const grpcSchemes = { http: "grpc", https: "grpcs" } as const;

const isGrpcPart = (part: SitePart): boolean => part.kind === "proxy" && isGrpc(part);

/** Directives for all of nginx, where any origin is asked so: what `proxying` says to all others. */
export const grpcDefaults = (parts: readonly SitePart[]): string[] =>
  parts.some(isGrpcPart)
    ? [
        "",
        ...requestHeaders("$remote_addr", "$host", "grpc"),
        `grpc_connect_timeout ${limits.connectSeconds}s;`,
        `grpc_read_timeout ${limits.readSeconds}s;`,
        `grpc_send_timeout ${limits.sendSeconds}s;`,
        `grpc_next_upstream_timeout ${2 * limits.connectSeconds + 1}s;`,
        `grpc_buffer_size ${limits.headersKb + 4}k;`,
        "grpc_ssl_verify on;",
        "grpc_ssl_verify_depth 3;",
        "grpc_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;",
        "grpc_ssl_server_name on;",
        "grpc_ssl_protocols TLSv1.2 TLSv1.3;",
        "grpc_ignore_headers X-Accel-Redirect;",
        "grpc_pass_header Date;",
        ...hidden([], "grpc"),
      ]
    : [];

/** Line of a server with such origins: nginx's own errors have the form of gRPC where the request has it (image/nginx/grpc.c). */
export const grpcErrors = (parts: readonly SitePart[]): string[] =>
  parts.some(isGrpcPart) ? ["pop_grpc_errors on;"] : [];

/** A client may send nothing for as long as the origin may: a stream is open in both directions. */
export const clientBodyTimeout = ({ host, timeouts = {} }: ProxyOptions & { host: string }): string[] => {
  const seconds = timeouts.readSeconds ?? limits.readSeconds;
  return [`client_body_timeout ${boundedInt(seconds, `${host}: timeouts.readSeconds`, { min: 1, max: 86_400 })}s;`];
};
