import { ports } from "../ports.ts";
import type { ImageSpec } from "../spec.ts";
import { hostName } from "./names.ts";

/** /etc/pop/pop.json: what the helper must know of the image. Read by image/pop/manifest.go, which refuses unknown keys. */
export function manifest(spec: Pick<ImageSpec, "sites">): string {
  const hosts = spec.sites.map((site) => hostName(site.host)).toSorted();
  const { nginxStatus, dns, health } = ports;
  return `${JSON.stringify({ hosts, ports: { nginxStatus, dns, health } }, null, 2)}\n`;
}
