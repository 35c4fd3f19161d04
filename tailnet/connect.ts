/** Creates the client of a control server with the stack's credentials. */

import type { Clock } from "../lib/clock.ts";
import type { ConfigLookup } from "../lib/config-lookup.ts";
import { createHeadscale } from "./headscale.ts";
import { headscaleSettings, tailscaleSettings } from "./settings.ts";
import type { ControlServer, TailnetApi } from "./tailnet-api.ts";
import { createTailscale } from "./tailscale.ts";

/** @throws if there are no credentials or an address is not a URL */
export function connectTailnet(
  server: ControlServer,
  { config, env, clock }: { config: ConfigLookup; env: ConfigLookup; clock: Clock },
): TailnetApi {
  const parts = { clock, ca: server.ca };
  switch (server.driver) {
    case "tailscale":
      return createTailscale(tailscaleSettings(config, env), parts);
    case "headscale":
      return createHeadscale(headscaleSettings(config, env, server), parts);
    default:
      return server.driver satisfies never;
  }
}
