/** Rules for gRPC origins. */
import { hasUniformOrigins } from "../../image/render/origins.ts";
import { type ConfigIssue, issue } from "../issues.ts";
import type { ValidPart } from "../valid-part.ts";
import { ruleKinds } from "./paths.ts";

/** Keys that have no meaning with a gRPC origin, and why. */
const unsupportedKeys = {
  cache: "calls are never stored",
  buffering: "each message is passed on as it arrives",
  compress: "applications compress their own messages",
  stripPrefix: "a gRPC client cannot add a prefix to /package.Service/Method",
  errorPages: "a client gets grpc-status and grpc-message, not a page",
} as const;

/** Sites and rules with gRPC origins, their own or, for a rule, its site's. */
const grpcHolders = ({ file }: ValidPart) =>
  (file.sites ?? []).flatMap((site, index) => {
    if (site === undefined) return [];
    const at = ["sites", index];
    const rules = (site.paths ?? []).flatMap((keys, number) => {
      if (keys === undefined) return [];
      const origins = ruleKinds.some((kind) => kind in keys) ? keys : site;
      return [{ what: "rule", host: site.host, keys, origins, at: [...at, "paths", number] }];
    });
    return [{ what: "site", host: site.host, keys: site, origins: site, at }, ...rules].filter(
      ({ origins }) => origins.protocol === "grpc" && origins.origin !== undefined,
    );
  });

/** No key that has no meaning with gRPC is set. */
export const checkGrpcKeys = (valid: ValidPart): ConfigIssue[] =>
  grpcHolders(valid).flatMap(({ what, keys, at }) =>
    Object.entries(unsupportedKeys).flatMap(([key, why]) => {
      const value = (keys as Record<string, unknown>)[key];
      // Switching off what is off anyway is harmless.
      if (value === undefined || (value === false && (key === "cache" || key === "stripPrefix"))) return [];
      // Rules of the site that are not gRPC may use the pages.
      if (key === "errorPages" && "paths" in keys) return [];
      return [issue([...at, key], `cannot be used in a ${what} with gRPC origins: ${why}.`)];
    }),
  );

/** Origins that differ would need nginx's internal relay servers, and a call through a relay cannot be retried, because it was already sent. */
export const checkGrpcOrigins = (valid: ValidPart): ConfigIssue[] =>
  grpcHolders(valid).flatMap(({ host = "", keys: { origin, tls }, at }) => {
    if (origin === undefined || valid.isInvalid(...at, "origin") || valid.isInvalid(...at, "tls")) return [];
    const origins = [origin].flat().filter((url) => url !== undefined);
    const named = tls?.serverName === undefined ? {} : { tls: { serverName: tls.serverName } };
    if (hasUniformOrigins({ host, origins, ...named })) return [];
    return [
      issue(
        [...at, "origin"],
        "has origins that differ in scheme or in certificate name: gRPC origins must share both. Use one scheme and, for https, set tls.serverName.",
      ),
    ];
  });
