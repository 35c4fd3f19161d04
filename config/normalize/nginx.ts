/** The user's own configuration of nginx, normalized for the image. */

import type { NginxFiles } from "../../image/spec.ts";
import { byKey } from "../../lib/order.ts";
import type { StackFile } from "../schema.ts";
import { normalizeName, normalizePath } from "../validators.ts";

/** Undefined: no files. */
export function nginx({ http, sites = {} }: NonNullable<StackFile["nginx"]> = {}): NginxFiles | undefined {
  const all = Object.entries(sites).map(([host, file]) => [normalizeName(host), normalizePath(file)] as const);
  if (http === undefined && all.length === 0) return undefined;
  return {
    ...(http !== undefined && { http: normalizePath(http) }),
    sites: Object.fromEntries(all.toSorted(byKey)),
  };
}
