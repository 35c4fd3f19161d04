import type { ImageSpec } from "../spec.ts";
import { boundedInt } from "./validators.ts";

/** Port on 127.0.0.1 that the luggage listens on. */
export function luggagePort(luggage: ImageSpec["luggage"], name: string): number {
  const port = luggage[name]?.port;
  if (port === undefined)
    throw new Error(`luggage ${JSON.stringify(name)}: a site or a port uses it, but it has no port.`);
  return boundedInt(port, `luggage.${name}.port`, { min: 1024, max: 65535 });
}
