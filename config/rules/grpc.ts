/** Rules of origins that are asked by gRPC. */
import { isOfOneKind } from "../../image/render/nginx-origins.ts";
import { type Mistake, mistake } from "../mistakes.ts";
import type { Sketch } from "../sketch.ts";
import { holders } from "./sites.ts";

/** Keys that mean nothing there. */
const withoutMeaning = {
  cache: "calls are never stored",
  buffering: "each message is passed on as it arrives",
  compress: "applications compress their messages themselves",
  stripPrefix: "a gRPC client can put nothing before /package.Service/Method",
  errorPages: "a client gets grpc-status and grpc-message, and shows no page",
} as const;

const answers = ["origin", "files", "luggage", "redirect", "deny"] as const;

type Holder = ReturnType<typeof holders>[number];

/** Sites and rules whose origins are asked by gRPC, with the site of a rule. */
function asked({ file }: Sketch): (Holder & { site: Holder["keys"]; isRule: boolean })[] {
  let site: Holder["keys"] | undefined;
  return holders(file).flatMap(({ keys, at }) => {
    const isRule = "path" in keys || at.length > 2;
    if (!isRule) site = keys;
    const speaks = isRule && !answers.some((kind) => kind in keys) ? site : keys;
    return site !== undefined && speaks?.protocol === "grpc" && speaks.origin !== undefined
      ? [{ keys, at, site, isRule }]
      : [];
  });
}

/** What is said beside gRPC has a meaning there. */
export const grpcFits = (sketch: Sketch): Mistake[] =>
  asked(sketch).flatMap(({ keys, at, isRule }) =>
    Object.entries(withoutMeaning).flatMap(([key, why]) => {
      const value = (keys as Record<string, unknown>)[key];
      // What is off anyway may be said.
      if (value === undefined || (value === false && (key === "cache" || key === "stripPrefix"))) return [];
      // Its rules may have pages to show.
      if (key === "errorPages" && "paths" in keys) return [];
      const where = isRule ? "a rule" : "a site";
      return [mistake([...at, key], `stands in ${where} whose origins are asked by gRPC: ${why}.`)];
    }),
  );

/** nginx passes a call on by one scheme and checks one name; relays, which other sites have for that, would end a call's second try. */
export const grpcOriginsAlike = (sketch: Sketch): Mistake[] =>
  asked(sketch).flatMap(({ keys, at, site }) => {
    if (keys.origin === undefined || sketch.unclear(...at, "origin") || sketch.unclear(...at, "tls")) return [];
    const origins = [keys.origin].flat().filter((url) => url !== undefined);
    const host = "host" in site ? (site.host ?? "") : "";
    if (isOfOneKind({ host, origins, ...(keys.tls?.serverName && { tls: { serverName: keys.tls.serverName } }) }))
      return [];
    return [
      mistake(
        [...at, "origin"],
        "has origins that differ in scheme or in the name on their certificates: those that are asked by gRPC are alike in both. Write one scheme, and for https tls.serverName.",
      ),
    ];
  });
