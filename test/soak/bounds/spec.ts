import { limits } from "../../../image/limits.ts";
import type { ImageSpec, ProxySite, SiteCache } from "../../../image/spec.ts";
import { outward, stored } from "../../image/support/spec.ts";

/** A network of its own: those of the other files have theirs. Origins listen on its gateway, which is the machine of the test. */
export const network = {
  name: "fly-pops-bounds",
  subnet: "172.31.221.0/24",
  gateway: "172.31.221.1",
};

/** Ports of the origins at the gateway. */
export const originPorts = { hung: 8081, other: 8082 };

export const hosts = {
  /** Its origin hangs at the test's word. */
  hung: "hung.example.test",
  /** Of the same origin, nothing stored. */
  hungPlain: "hung-plain.example.test",
  /** Stored, up to the default size of a file. */
  other: "other.example.test",
  /** Of the same origin, passed on as it is. */
  plain: "plain.example.test",
  /** Of the same origin, stored, with a limit for each visitor. */
  limited: "limited.example.test",
  files: "files.example.test",
};

/** Of `hosts.limited`. */
export const visitorLimit = { count: 50, per: "s", burst: 100 } as const;

/** The whole PoP: tailnet, vault and secrets included, all of them away. */
export const boundsSpec = (cache: ImageSpec["cache"]): ImageSpec => ({
  ...outward(),
  sites: [
    proxy(hosts.hung, originPorts.hung, stored(3600, 3600)),
    proxy(hosts.hungPlain, originPorts.hung),
    proxy(hosts.other, originPorts.other, stored(3600, 3600, { maxFileMb: limits.maxFileMb })),
    proxy(hosts.plain, originPorts.other),
    { ...proxy(hosts.limited, originPorts.other, stored(3600, 3600)), limit: { requests: visitorLimit } },
    { kind: "files", host: hosts.files, dir: "site" },
  ],
  luggage: {},
  cache,
});

const proxy = (host: string, port: number, cache?: SiteCache): ProxySite => ({
  kind: "proxy",
  host,
  origins: [`http://${network.gateway}:${port}`],
  ...(cache && { cache }),
});
