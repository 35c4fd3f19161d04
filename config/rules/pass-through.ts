/** Rules for sites whose TLS is terminated by the origin. */
import { type ConfigIssue, formatValue, issue } from "../issues.ts";
import type { Path } from "../schema-path.ts";
import type { ValidPart } from "../valid-part.ts";
import { originParts } from "../validators.ts";

type Site = NonNullable<NonNullable<ValidPart["file"]["sites"]>[number]>;

const seesNoRequest = "the PoP sees no request";
const seesNoResponse = "the PoP sees no response";

/** Keys that a site with passThrough cannot have, and why. */
const incompatibleKeys: Readonly<Record<string, string>> = {
  default: "unknown names are rejected before they reach the origin. List the site's names under aliases",
  certificate: "the origin presents its own certificate",
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
  errorPages: "the PoP sends no responses of its own",
  robots: "the PoP sends no responses of its own",
  paths: seesNoRequest,
};

export const isPassedThrough = (site: Pick<Site, "passThrough"> | undefined): boolean => site?.passThrough === true;

/** A site with passThrough has https origins only, and no key that needs the decrypted traffic. */
export function checkPassThrough({ file, isInvalid }: ValidPart): ConfigIssue[] {
  return (file.sites ?? []).flatMap((site, index) => {
    const at: Path = ["sites", index];
    if (site === undefined) return [];
    if (!isPassedThrough(site))
      return "proxyProtocol" in site && !isInvalid(...at, "passThrough")
        ? [
            issue(
              [...at, "proxyProtocol"],
              "needs passThrough: without it, the origin gets the visitor's address in the X-Forwarded-For header of each request.",
            ),
          ]
        : [];
    return [
      ...Object.entries(incompatibleKeys).flatMap(([key, why]) =>
        key in site ? [cannotCombine([...at, key], why)] : [],
      ),
      ...checkLimit(site, at),
      ...(site.access !== undefined && "agents" in site.access
        ? [cannotCombine([...at, "access", "agents"], seesNoRequest)]
        : []),
      ...checkHttpsOrigins(site, at),
    ];
  });
}

const cannotCombine = (path: Path, why: string): ConfigIssue =>
  issue(path, `cannot be combined with passThrough: ${why}.`);

const checkLimit = ({ limit }: Site, at: Path): ConfigIssue[] =>
  (["requests", "burst"] as const).flatMap((key) =>
    typeof limit === "object" && key in limit
      ? [cannotCombine([...at, "limit", key], `${seesNoRequest}. Connections can be limited: limit.connections`)]
      : [],
  );

const checkHttpsOrigins = ({ origin }: Site, at: Path): ConfigIssue[] =>
  [origin].flat().flatMap((url, index) => {
    if (url === undefined || originParts(url).scheme === "https") return [];
    const path = Array.isArray(origin) ? [...at, "origin", index] : [...at, "origin"];
    return [issue(path, `is ${formatValue(url, path)}: passThrough forwards TLS, so the origin must be an https URL.`)];
  });

/** `certificates` needs a site whose TLS is terminated on the PoP. */
export function checkCertificatesUsed({ file, isInvalid }: ValidPart): ConfigIssue[] {
  const sites = file.sites ?? [];
  if (file.certificates === undefined || isInvalid("sites") || sites.length === 0 || !sites.every(isPassedThrough))
    return [];
  return [issue(["certificates"], "is unused: all sites have passThrough. Remove it.")];
}
