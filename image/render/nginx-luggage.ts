import type { ImageSpec } from "../spec.ts";
import { boundedInt } from "./validators.ts";

/** Where luggage listens, on 127.0.0.1. */
export function luggagePort(luggage: ImageSpec["luggage"], name: string): number {
  const port = luggage[name]?.port;
  if (port === undefined)
    throw new Error(`luggage ${JSON.stringify(name)}: a site or a port is served by it, but it has no port.`);
  return boundedInt(port, `luggage.${name}.port`, { min: 1024, max: 65535 });
}
