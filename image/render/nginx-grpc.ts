/**
 * gRPC origins: https://nginx.org/en/docs/http/ngx_http_grpc_module.html. gRPC is HTTP/2 on both sides, with trailers, and streams in both directions. Nothing
 * is stored, buffered or rewritten.
 */
import { limits } from "../limits.ts";
import type { ProxyOptions, ProxySite } from "../spec.ts";
import { hidden, requestHeaders } from "./nginx-common.ts";
import type { SitePart } from "./site-parts.ts";
import { boundedInt } from "./validators.ts";

/** Determines the nginx module that a location uses. */
export type UpstreamProtocol = Pick<ProxySite, "protocol">;

export const isGrpc = ({ protocol }: UpstreamProtocol): boolean => protocol === "grpc";

/** The nginx module for an origin; its directives start with this. */
export const upstreamModule = (site: UpstreamProtocol): "proxy" | "grpc" => (isGrpc(site) ? "grpc" : "proxy");

/** By scheme of the origin. */
export const grpcSchemes = { http: "grpc", https: "grpcs" } as const;

const isGrpcPart = (part: SitePart): boolean => part.kind === "proxy" && isGrpc(part);

/** Directives of the `http` block if any origin uses gRPC: what `proxying` sets for all others. */
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

/** Directive of a server with gRPC origins: nginx's own errors have the form of gRPC if the request has it (image/nginx/grpc.c). */
export const grpcErrors = (parts: readonly SitePart[]): string[] =>
  parts.some(isGrpcPart) ? ["pop_grpc_errors on;"] : [];

/** A client may be silent for as long as the origin may: a stream is open in both directions. */
export const clientBodyTimeout = ({ host, timeouts = {} }: ProxyOptions & { host: string }): string[] => {
  const seconds = timeouts.readSeconds ?? limits.readSeconds;
  return [`client_body_timeout ${boundedInt(seconds, `${host}: timeouts.readSeconds`, { min: 1, max: 86_400 })}s;`];
};
