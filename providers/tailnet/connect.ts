/** The control server of a stack's tailnet, reached with the stack's credentials. */
import type { Clock } from "../clock.ts";
import { type ConfigLookup, headscaleSettings, tailscaleSettings } from "../settings.ts";
import type { ControlServer, TailnetDriver } from "./driver.ts";
import { createHeadscale } from "./headscale.ts";
import { createTailscale } from "./tailscale.ts";

/** @throws a sentence when there are no credentials, or an address is no URL */
export function connectTailnet(
  of: ControlServer,
  { config, env, clock }: { config: ConfigLookup; env: ConfigLookup; clock: Clock },
): TailnetDriver {
  const parts = { clock, ca: of.ca };
  switch (of.driver) {
    case "tailscale":
      return createTailscale(tailscaleSettings(config, env), parts);
    case "headscale":
      return createHeadscale(headscaleSettings(config, env, of), parts);
    default:
      return of.driver satisfies never;
  }
}
