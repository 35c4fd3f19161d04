/** Sites whose TLS is terminated by the origin, normalized for the image. */
import type { PassThroughSite } from "../../image/spec.ts";
import { defaults } from "../defaults.ts";
import { parseSeconds } from "../duration.ts";
import type { StackFile } from "../schema.ts";
import { normalizeName, normalizeOrigin } from "../validators.ts";
import { hosts } from "./hosts.ts";
import { access } from "./visitors.ts";

type Keys = StackFile["sites"][number];

/** By host. */
export const passedThrough = (sites: readonly Keys[]): PassThroughSite[] =>
  sites
    .filter((it) => it.passThrough === true)
    .map(site)
    .toSorted((a, b) => (a.host < b.host ? -1 : 1));

const site = (it: Keys): PassThroughSite => ({
  host: normalizeName(it.host),
  ...hosts(it),
  origins: [it.origin ?? []].flat().map(normalizeOrigin),
  ...(it.proxyProtocol === "v2" && { proxyProtocol: "v2" }),
  ...(it.access && { access: access(it.access) }),
  ...(it.limit !== false && { connections: it.limit?.connections ?? defaults.portConnections }),
  idleSeconds: parseSeconds(defaults.portIdle) ?? 0,
});
