/** Rules of sites whose TLS ends at home. */
import { given, type Mistake, mistake } from "../mistakes.ts";
import { originParts } from "../names.ts";
import type { Sketch } from "../sketch.ts";
import type { Path } from "../walk.ts";

type Site = NonNullable<NonNullable<Sketch["file"]["sites"]>[number]>;

const seesNoRequest = "the PoP sees no request";
const seesNoResponse = "the PoP sees no response";

/** Keys of a site with an origin that mean nothing where its TLS ends there, and why. */
const impossible: Readonly<Record<string, string>> = {
  default: "names that are in no site are turned away before the origin hears of them. Write its names under aliases",
  certificate: "the origin shows visitors its own",
  cache: seesNoResponse,
  auth: seesNoRequest,
  tls: "visitors check the origin's certificate themselves",
  timeouts: "the origin decides how long a request may take",
  buffering: seesNoResponse,
  compress: seesNoResponse,
  maxBodyMb: seesNoRequest,
  hostHeader: seesNoRequest,
  requestHeaders: seesNoRequest,
  headers: seesNoResponse,
  hsts: seesNoResponse,
  securityHeaders: seesNoResponse,
  errorPages: "the PoP answers nothing itself",
  robots: "the PoP answers nothing itself",
  paths: seesNoRequest,
};

export const isPassedThrough = (site: Pick<Site, "passThrough"> | undefined): boolean => site?.passThrough === true;

/** It has an https origin, and no key that needs what is inside of TLS. */
export function passThroughFits({ file, unclear }: Sketch): Mistake[] {
  return (file.sites ?? []).flatMap((site, index) => {
    const at: Path = ["sites", index];
    if (site === undefined) return [];
    if (!isPassedThrough(site))
      return "proxyProtocol" in site && !unclear(...at, "passThrough")
        ? [
            mistake(
              [...at, "proxyProtocol"],
              "stands in a site without passThrough: its origin is told the visitor's address in each request, by X-Forwarded-For.",
            ),
          ]
        : [];
    return [
      ...Object.entries(impossible).flatMap(([key, why]) => (key in site ? [together([...at, key], why)] : [])),
      ...limitOf(site, at),
      ...(site.access !== undefined && "agents" in site.access
        ? [together([...at, "access", "agents"], seesNoRequest)]
        : []),
      ...plainOrigins(site, at),
    ];
  });
}

const together = (path: Path, why: string): Mistake => mistake(path, `cannot be combined with passThrough: ${why}.`);

const limitOf = ({ limit }: Site, at: Path): Mistake[] =>
  (["requests", "burst"] as const).flatMap((key) =>
    typeof limit === "object" && key in limit
      ? [together([...at, "limit", key], `${seesNoRequest}. Connections can be limited: limit.connections`)]
      : [],
  );

const plainOrigins = ({ origin }: Site, at: Path): Mistake[] =>
  [origin].flat().flatMap((url, index) => {
    if (url === undefined || originParts(url).scheme === "https") return [];
    const path = Array.isArray(origin) ? [...at, "origin", index] : [...at, "origin"];
    return [mistake(path, `is ${given(url, path)}: passThrough hands on TLS, so it takes an https URL.`)];
  });

/** Certificates are fetched for sites whose TLS ends here. */
export function certificatesServe({ file, unclear }: Sketch): Mistake[] {
  const sites = file.sites ?? [];
  if (file.certificates === undefined || unclear("sites") || sites.length === 0 || !sites.every(isPassedThrough))
    return [];
  return [mistake(["certificates"], "serves nobody: TLS of all sites is passed through. Remove it.")];
}
