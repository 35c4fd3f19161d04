import { ports } from "../ports.ts";
import type { ImageSpec } from "../spec.ts";
import { hostName } from "./names.ts";
import { secrets } from "./secrets.ts";

/** /etc/pop/pop.json: what the helper must know of the image. Read by image/pop/manifest.go, which refuses unknown keys. */
export function manifest(spec: Pick<ImageSpec, "sites" | "luggage" | "tailnet" | "certificates">): string {
  const hosts = spec.sites.map((site) => hostName(site.host)).toSorted();
  const { nginxStatus, dns, health } = ports;
  // Parts that not every PoP has: without word from these it is degraded.
  const expects = [
    ...(spec.tailnet ? ["tailnet"] : []),
    ...(secrets(spec).length > 0 ? ["secrets"] : []),
    ...(spec.certificates ? ["certs"] : []),
    "reload",
  ];
  return `${JSON.stringify({ hosts, expects, ports: { nginxStatus, dns, health } }, null, 2)}\n`;
}
