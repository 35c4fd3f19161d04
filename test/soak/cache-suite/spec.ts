import type { ImageSpec } from "../../../image/spec.ts";
import { stored } from "../../image/support/spec.ts";

/** A network of its own, in the range nginx believes a PROXY header from. The suite's server listens on the gateway's address. */
export const network = {
  name: "fly-pops-cache-suite",
  subnet: "172.31.220.0/24",
  gateway: "172.31.220.1",
};

export const originPort = 8000;

export const host = "cache.example.test";

/** One site with `cache: {}` in front of the suite's server. */
export const spec: ImageSpec = {
  sites: [
    {
      kind: "proxy",
      host,
      origins: [`http://${network.gateway}:${originPort}`],
      // What the stack file completes `cache: {}` to.
      cache: stored(0, 86_400),
    },
  ],
  luggage: {},
  dns: { forward: [] },
  cache: { maxSizeMb: 64, indexMb: 1 },
};
