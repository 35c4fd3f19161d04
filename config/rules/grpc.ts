/** Rules of origins that are asked by gRPC. */
import { hasUniformOrigins } from "../../image/render/nginx-origins.ts";
import { type Mistake, mistake } from "../mistakes.ts";
import type { Sketch } from "../sketch.ts";
import { answers } from "./paths.ts";

/** Keys that mean nothing there. */
const withoutMeaning = {
  cache: "calls are never stored",
  buffering: "each message is passed on as it arrives",
  compress: "applications compress their messages themselves",
  stripPrefix: "a gRPC client can put nothing before /package.Service/Method",
  errorPages: "a client gets grpc-status and grpc-message, and shows no page",
} as const;

/** Sites and rules whose origins are asked by gRPC: a rule's own, or its site's. */
const asked = ({ file }: Sketch) =>
  (file.sites ?? []).flatMap((site, index) => {
    if (site === undefined) return [];
    const at = ["sites", index];
    const rules = (site.paths ?? []).flatMap((keys, number) => {
      if (keys === undefined) return [];
      const origins = answers.some((kind) => kind in keys) ? keys : site;
      return [{ what: "rule", host: site.host, keys, origins, at: [...at, "paths", number] }];
    });
    return [{ what: "site", host: site.host, keys: site, origins: site, at }, ...rules].filter(
      ({ origins }) => origins.protocol === "grpc" && origins.origin !== undefined,
    );
  });

/** What is said beside gRPC has a meaning there. */
export const grpcFits = (sketch: Sketch): Mistake[] =>
  asked(sketch).flatMap(({ what, keys, at }) =>
    Object.entries(withoutMeaning).flatMap(([key, why]) => {
      const value = (keys as Record<string, unknown>)[key];
      // What is off anyway may be said.
      if (value === undefined || (value === false && (key === "cache" || key === "stripPrefix"))) return [];
      // Its rules may have pages to show.
      if (key === "errorPages" && "paths" in keys) return [];
      return [mistake([...at, key], `stands in a ${what} whose origins are asked by gRPC: ${why}.`)];
    }),
  );

/** Of several kinds nginx would need relays, and behind one no call is tried again: it was sent by then. */
export const grpcOriginsAlike = (sketch: Sketch): Mistake[] =>
  asked(sketch).flatMap(({ host = "", keys: { origin, tls }, at }) => {
    if (origin === undefined || sketch.unclear(...at, "origin") || sketch.unclear(...at, "tls")) return [];
    const origins = [origin].flat().filter((url) => url !== undefined);
    const named = tls?.serverName === undefined ? {} : { tls: { serverName: tls.serverName } };
    if (hasUniformOrigins({ host, origins, ...named })) return [];
    return [
      mistake(
        [...at, "origin"],
        "has origins that differ in scheme or in the name on their certificates: those that are asked by gRPC are alike in both. Write one scheme, and for https tls.serverName.",
      ),
    ];
  });
