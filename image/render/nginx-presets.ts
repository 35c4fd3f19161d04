/** Headers of the presets `hsts` and `securityHeaders`. Headers that the site itself sets, in its stack file or at its origin, take precedence. */
import { byKey } from "../../lib/order.ts";
import type { Site } from "../spec.ts";
import type { SitePart } from "./site-parts.ts";
import { header } from "./validators.ts";

type Headers = Readonly<Record<string, string>>;

/** One year, for this name only: a PoP does not know which names exist below it. https://hstspreload.org/#deployment-recommendations */
const hsts: Headers = { "Strict-Transport-Security": "max-age=31536000" };

/**
 * Recommendations of https://owasp.org/www-project-secure-headers/, except those that break sites that were not written for them: the policy does not restrict
 * scripts and styles, and a site may frame itself.
 */
export const strictHeaders: Headers = {
  "Content-Security-Policy": "base-uri 'self'; frame-ancestors 'self'; object-src 'none'; upgrade-insecure-requests",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
  "Referrer-Policy": "strict-origin-when-cross-origin",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "SAMEORIGIN",
  "X-Permitted-Cross-Domain-Policies": "none",
};

type Presets = Pick<Site, "headers" | "hsts" | "securityHeaders">;

/** Headers of the site's presets, except those that its `headers` set. */
function presetHeaders({ headers = {}, hsts: wanted, securityHeaders }: Presets): Headers {
  const own = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
  const all: Headers = { ...(securityHeaders === "strict" && strictHeaders), ...(wanted && hsts) };
  return Object.fromEntries(Object.entries(all).filter(([name]) => !own.has(name.toLowerCase())));
}

const key = (name: string): string => name.toLowerCase().replaceAll("-", "_");
const variable = (name: string): string => `$preset_${key(name)}`;

/** A map for each preset header of sites that pass requests on: its value, unless the origin's response has the header. */
export function presetMaps(parts: readonly SitePart[]): string[] {
  const passing = parts.filter(({ kind }) => kind === "proxy" || kind === "luggage").map(presetHeaders);
  const all: Headers = Object.assign({}, ...passing);
  return Object.entries(all)
    .toSorted(byKey)
    .map(([name, value]) => `map $upstream_http_${key(name)} ${variable(name)} { "" "${value}"; default ""; }`);
}

/** Directives of a location that passes requests on. nginx omits headers with an empty value. */
export const defaultPresetLines = (site: Presets): string[] =>
  Object.keys(presetHeaders(site))
    .toSorted()
    .map((name) => `add_header ${name} ${variable(name)} always;`);

/** Directives of a location that nginx answers itself. */
export const presetLines = (site: Presets): string[] =>
  Object.entries(presetHeaders(site))
    .toSorted(byKey)
    .map(([name, value]) => `add_header ${header(name, value)} always;`);
