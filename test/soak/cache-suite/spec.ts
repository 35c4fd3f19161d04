import { normalizeConfig } from "../../../config/normalize.ts";
import type { ImageSpec } from "../../../image/spec.ts";

/** A network of its own, in the range nginx believes a PROXY header from. The suite's server listens on the gateway's address. */
export const network = {
  name: "fly-pops-cache-suite",
  subnet: "172.31.220.0/24",
  gateway: "172.31.220.1",
};

export const originPort = 8000;

export const host = "cache.example.test";

/** One site with `cache: {}` in front of the suite's server, with what the stack file's defaults make of it. */
export const spec: ImageSpec = normalizeConfig({
  app: "cache-suite",
  regions: { cdg: {} },
  // Its client is one visitor.
  sites: [{ host, origin: `http://${network.gateway}:${originPort}`, cache: {}, limit: false }],
}).image;
